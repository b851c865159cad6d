"""Where the numbers of the page come from: links to the files of runs and cells, relative to the page."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from nafp.evaluation.cell import below_results, cell_beside, table_beside
from nafp.grid import FILES

OF_RUN = {  # what a run leaves, below the results of its data set
    "config": "runs/{run}/config.yaml",
    "learning curve": "runs/{run}/history.csv",
    "provenance": "runs/{run}/provenance.json",
    "log": "logs/train/{run}.log",
}


@dataclass(frozen=True)
class CellLink:
    """A cell's file and its per-query table. ``number``: of the cell on the page; ``text``: its index and query set;
    ``place``: below the results."""

    number: int
    text: str
    place: str
    cell: str
    queries: str


@dataclass(frozen=True)
class RunLinks:
    """A run by its short name: label and address of each of its files, and its cells."""

    name: str
    run: str
    files: Mapping[str, str]
    cells: list[CellLink]


def links_of(cells: pd.DataFrame, names: Mapping[str, str], results: Path, folder: Path) -> list[RunLinks]:
    """Links from a page in ``folder`` to the files of the runs of some cells (of `load_cells`).

    ``names``: run -> short name. ``results``: of the data set.
    """
    numbers = {path: number for number, path in enumerate(cells["answers"].unique())}
    return [_run(rows, names.get(run, run), results, folder, numbers) for run, rows in cells.groupby("run", sort=False)]


def tensorboard_command(results: Path) -> str:
    """What shows the learning curves of all runs; empty if none was trained here."""
    runs = results / "runs"
    return f"tensorboard --logdir {shlex.quote(str(runs))}" if any(runs.glob("*/tensorboard")) else ""


def numbers_of(links: Sequence[RunLinks]) -> dict[str, int]:
    """Cell, by its place below the results, -> its number on the page."""
    return {one.place: one.number for run in links for one in run.cells}


def _run(rows: pd.DataFrame, name: str, results: Path, folder: Path, numbers: Mapping[Path, int]) -> RunLinks:
    run = rows["run"].iloc[0]
    paths = {label: results / place.format(run=run) for label, place in OF_RUN.items()}
    shown = rows.drop_duplicates("answers").to_dict("records")
    cells = [_cell(row, folder, numbers[row["answers"]]) for row in shown]
    files = {label: _address(path, folder) for label, path in paths.items() if path.is_file()}
    return RunLinks(name, run, files, cells)


def _cell(row: Mapping, folder: Path, number: int) -> CellLink:
    sets = [f"queries {row['query_set']}"] if row["query_set"] != FILES else []
    text = ", ".join([row["index"], *sets] if row["index"] else sets) or "answers"
    path = cell_beside(row["answers"])
    return CellLink(number, text, below_results(path), _address(path, folder), _address(table_beside(path), folder))


def _address(path: Path, folder: Path) -> str:
    return quote(Path(os.path.relpath(path, folder)).as_posix(), safe="/=,")
