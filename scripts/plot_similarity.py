"""Draw how alike the queries of a song are to its segments, run by run."""

import numpy as np

from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.files import damaged_file_errors
from nafp.report.figures import similarity
from nafp.report.tables.cells import load_cells, run_labels


def stored(path: str) -> np.ndarray:
    """(n, d) fingerprints of a file."""
    with damaged_file_errors(path):
        return np.load(path)


with tee_to_log(snakemake.log[0]):
    names = run_labels(load_cells(snakemake.params.cells))
    clips = Split.open(snakemake.params.clips).segments.clip
    matrices = {}
    for run, arrays in snakemake.params.vectors.items():
        db, query = (np.concatenate([*map(stored, parts)]) for parts in arrays)
        matrices[names[run]] = similarity.matrix(db, query, clips)
    similarity.plot_matrices(matrices, snakemake.output.svg)
