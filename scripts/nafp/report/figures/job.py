"""The jobs that draw a figure each, from cells and the files beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.evaluation.asked import unknown_places
from nafp.evaluation.cell import read_table, table_beside
from nafp.files import damaged_file_errors
from nafp.grid import parse_run
from nafp.report.figures import charts, curves, ladders, misses, pareto, plots, similarity, trends
from nafp.report.figures.colour import Palette
from nafp.report.figures.differences import differences_over_length
from nafp.report.figures.drawing import Drawing
from nafp.report.misses.kinds import kinds_of_answers, silent
from nafp.report.tables.cells import load_cells, run_labels
from nafp.report.tables.job import read_beyond
from nafp.report.tables.ladders import matrix_of
from nafp.report.tables.published import load_published, of_study
from nafp.report.tables.study import Study, load_table

Paths = Sequence[str | Path]
COLUMNS = ["query", "length", "truth", "place1", "top1_exact", "top1_near", "top1_song"]


@dataclass(frozen=True)
class Look:
    """What figures are drawn with besides cells: the order of the chains, the size of the validation queries, the default index,
    and the colours of configurations (`nafp.report.figures.colour.Palette`)."""

    chains: Sequence[str]
    validation: int
    index: str = ""
    colours: Mapping[str, str] = field(default_factory=dict)

    @property
    def palette(self) -> Palette:
        return Palette(self.colours)


def draw_study(
    figure: str, study: Mapping, cells: Paths, table: str | Path, published: str | Path, look: Look, svg: str | Path
) -> None:
    """One figure of a study: ``svg``, and beside it a PNG, a PDF and a chart for the page.

    ``table``: that of the study.
    """
    varied, rows, palette = study["varied"], load_cells(cells), look.palette
    originals = load_published(published)
    beside = originals if len(of_study(originals, study["name"])) else None
    match figure:
        case "hit_rate":
            differences = differences_over_length(rows, varied, load_table(table), palette)
            write(differences or curves.hit_rate_over_length(rows, varied, beside, palette), svg)
        case "open_set":
            write(curves.right_over_false_accepts(rows, varied, palette), svg)
        case "costs":
            points, drawing = pareto.index_costs(rows, palette)
            pareto.draw_costs(points, drawing.colours, svg)
            charts.write_chart(charts.chart_of(drawing), svg)
        case "strengths":
            write(trends.strengths(matrix_of(rows, Study(**study)), palette), svg)
        case over:
            write(curves.hit_rate_over(rows, over, varied, beside, look.chains, palette), svg)


def draw_heat_map(study: Mapping, cells: Paths, svg: str | Path) -> None:
    """Hit rates by degradation and strength; the page has a form of its own for it."""
    ladders.heat_map(matrix_of(load_cells(cells), Study(**study)), svg)


def write(drawing: Drawing, svg: str | Path) -> None:
    """A drawing as SVG, PNG and PDF, and as a specification for the page."""
    plots.draw(drawing, svg)
    charts.write_chart(charts.chart_of(drawing), svg)


def draw_learning(histories: Paths, look: Look, svg: str | Path) -> None:
    """Loss and validation over the epochs of all trained runs. ``histories``: one a run, in its folder."""
    runs = [Path(file).parent.name for file in histories]
    names = run_labels(pd.DataFrame([{"run": run, **parse_run(run)} for run in runs]))
    palette, tables = look.palette, {names[run]: pd.read_csv(file) for run, file in zip(runs, histories, strict=True)}
    colours = {names[run]: palette.of_run(run, look.index) for run in runs}
    write(trends.learning_curves(tables, look.validation, colours), svg)


def draw_scale(tables: Paths, look: Look, svg: str | Path) -> None:
    """Hit rate and search time over the size of the database. ``tables``: one an index type, named by it, in its run's folder."""
    names = {Path(path).stem.split(".")[0]: path for path in tables}
    palette = look.palette
    colours = {name: palette.of_run(Path(path).parents[1].name, name) for name, path in names.items()}
    write(trends.scale({name: pd.read_csv(path) for name, path in names.items()}, colours), svg)


def draw_beyond(table: str | Path, svg: str | Path) -> None:
    """Hit rates in databases larger than the data. ``table``: of `nafp.evaluation.extrapolation.extrapolate`."""
    write(trends.beyond(read_beyond(table)), svg)


def draw_misses(cells: Paths, packed: Mapping[str, str], svg: str | Path) -> None:
    """Where the answers to the shortest queries lie, run by run; a table beside it.

    UserError if it is not known where in their songs the queries are.
    """
    table = load_cells(cells)
    if not table["match"].eq("exact").any():
        raise unknown_places("misses")
    dummy, db, query = (Split.open(packed[name]) for name in ("dummy", "test_db", "test_query"))
    songs, names, counts = Songs(dummy, db), run_labels(table), {}
    for run, path in zip(table["run"].unique(), cells, strict=True):
        hits = read_table(table_beside(path), COLUMNS)
        hits = hits[hits["length"] == hits["length"].min()]
        quiet = silent(query, hits["query"]) | silent(db, hits["truth"] - songs.dummy_rows)
        counts[names[run]] = kinds_of_answers(hits, songs.of_row, songs.dummy_rows, quiet)
    shown = counts, float(table["seconds"].min()), int(table["songs"].max())
    misses.plot_answers(*shown, svg)
    charts.write_chart(misses.chart_of_answers(*shown), svg)
    found = pd.DataFrame(counts).T
    found.to_csv(Path(svg).with_suffix(".csv"), index_label="run")
    print(found.to_string())


def draw_similarity(cells: Paths, vectors: Mapping[str, Sequence[Paths]], clips: Paths, svg: str | Path) -> None:
    """How alike the queries of a song are to its segments.

    ``vectors``: run -> the arrays of the songs, of the queries; ``clips``: their packed splits. UserError if it is not known
    where in their songs the queries are.
    """
    names = run_labels(load_cells(cells))
    rows, right = similarity.pairs(*(Split.open(path).clips for path in clips))
    matrices = {}
    for run, arrays in vectors.items():
        db, query = (np.concatenate([*map(_stored, parts)]) for parts in arrays)
        matrices[names[run]] = query[rows] @ db[right].T
    similarity.plot_matrices(matrices, svg)
    charts.write_chart(similarity.chart_of_matrices(matrices), svg)


def _stored(path: str | Path) -> np.ndarray:
    """(n, d) fingerprints of a file."""
    with damaged_file_errors(path):
        return np.load(path)
