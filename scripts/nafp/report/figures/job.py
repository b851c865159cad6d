"""The jobs that draw a figure each, from cells and the files beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.splits import Split
from nafp.evaluation.cell import table_beside
from nafp.files import damaged_file_errors
from nafp.report.figures import ladders, misses, pareto, plots, similarity
from nafp.report.misses.kinds import kinds_of_answers, silent
from nafp.report.tables.cells import load_cells, run_labels
from nafp.report.tables.ladders import matrix_of
from nafp.report.tables.published import load_published, of_study
from nafp.report.tables.study import Study

Paths = Sequence[str | Path]
COLUMNS = ["query", "length", "truth", "place1", "top1_exact", "top1_near", "top1_song"]


@dataclass(frozen=True)
class Look:
    """What figures are drawn with besides cells: the order of the chains, and the size of the validation queries."""

    chains: Sequence[str]
    validation: int


def draw_study(
    figure: str, study: Mapping, cells: Paths, histories: Paths, published: str | Path, look: Look, svg: str | Path
) -> None:
    """One figure of a study."""
    varied, table = study["varied"], load_cells(cells)
    originals = load_published(published)
    beside = originals if len(of_study(originals, study["name"])) else None
    match figure:
        case "hit_rate":
            plots.hit_rate_over_length(table, svg, varied, beside)
        case "open_set":
            plots.right_over_false_accepts(table, svg, varied)
        case "costs":
            pareto.index_costs(table, svg)
        case "learning":
            names = run_labels(pd.DataFrame(study["planned"]), varied)
            curves = {names[Path(file).parent.name]: pd.read_csv(file) for file in histories}
            plots.learning_curves(curves, svg, look.validation)
        case "heat_map":
            ladders.heat_map(matrix_of(table, Study(**study)), svg)
        case "strengths":
            ladders.curves(matrix_of(table, Study(**study)), svg)
        case field:
            plots.hit_rate_over(table, svg, field, varied, beside, order=look.chains)


def draw_scale(tables: Paths, svg: str | Path) -> None:
    """Hit rate and search time over the size of the database. ``tables``: one an index type, named by it."""
    plots.scale({Path(path).stem.split(".")[0]: pd.read_csv(path) for path in tables}, svg)


def draw_misses(cells: Paths, packed: Mapping[str, str], svg: str | Path) -> None:
    """Where the answers to the shortest queries lie, run by run; a table beside it."""
    splits = {name: Split.open(path) for name, path in packed.items()}
    dummy, db, query = (splits[name] for name in ("dummy", "test_db", "test_query"))
    songs = np.concatenate([dummy.segments.clip, db.segments.clip + len(dummy.clips)])
    table, rows = load_cells(cells), len(dummy.segments)
    names, counts = run_labels(table), {}
    for run, path in zip(table["run"].unique(), cells, strict=True):
        with damaged_file_errors(table_beside(path)):
            hits = pd.read_parquet(table_beside(path), columns=COLUMNS)
        hits = hits[hits["length"] == hits["length"].min()]
        quiet = silent(query, hits["query"]) | silent(db, hits["truth"] - rows)
        counts[names[run]] = kinds_of_answers(hits, songs, rows, quiet)
    misses.plot_answers(counts, float(table["seconds"].min()), int(table["songs"].max()), svg)
    found = pd.DataFrame(counts).T
    found.to_csv(Path(svg).with_suffix(".csv"), index_label="run")
    print(found.to_string())


def draw_similarity(cells: Paths, vectors: Mapping[str, Sequence[Paths]], clips: str | Path, svg: str | Path) -> None:
    """How alike the queries of a song are to its segments. ``vectors``: run -> the arrays of the songs, of the queries."""
    names, clip = run_labels(load_cells(cells)), Split.open(clips).segments.clip
    matrices = {}
    for run, arrays in vectors.items():
        db, query = (np.concatenate([*map(_stored, parts)]) for parts in arrays)
        matrices[names[run]] = similarity.matrix(db, query, clip)
    similarity.plot_matrices(matrices, svg)


def _stored(path: str | Path) -> np.ndarray:
    """(n, d) fingerprints of a file."""
    with damaged_file_errors(path):
        return np.load(path)
