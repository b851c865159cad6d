"""Draw where the answers to the shortest queries lie, run by run."""

import numpy as np
import pandas as pd

from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.evaluation.cell import table_beside
from nafp.files import damaged_file_errors
from nafp.report.figures import misses
from nafp.report.tables.cells import load_cells, run_labels

COLUMNS = ["query", "length", "truth", "place1", "top1_exact", "top1_near", "top1_song"]

with tee_to_log(snakemake.log[0]):
    splits = {name: Split.open(path) for name, path in snakemake.params.packed.items()}
    dummy, db, query = (splits[name] for name in ("dummy", "test_db", "test_query"))
    songs = np.concatenate([dummy.segments.clip, db.segments.clip + len(dummy.clips)])
    cells = load_cells(snakemake.params.cells)
    names, counts = run_labels(cells), {}
    for run, path in zip(cells["run"].unique(), snakemake.params.cells, strict=True):
        with damaged_file_errors(table_beside(path)):
            hits = pd.read_parquet(table_beside(path), columns=COLUMNS)
        hits = hits[hits["length"] == hits["length"].min()]
        rows = len(dummy.segments)
        quiet = misses.silent(query, hits["query"]) | misses.silent(db, hits["truth"] - rows)
        counts[names[run]] = misses.kinds_of_answers(hits, songs, rows, quiet)
    misses.plot_answers(counts, float(cells["seconds"].min()), int(cells["songs"].max()), snakemake.output.svg)
    table = pd.DataFrame(counts).T
    table.to_csv(snakemake.output.csv, index_label="run")
    print(table.to_string())
