"""The jobs that write the tables of a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from nafp.files import damaged_file_errors
from nafp.report.tables import beyond
from nafp.report.tables.cells import load_cells
from nafp.report.tables.formats import escaped, to_latex, to_markdown
from nafp.report.tables.ladders import matrix_of
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study, study_table
from nafp.report.tables.verdict import verdict
from nafp.text import for_spreadsheets

Paths = Sequence[str | Path]


def write_table(study: Mapping, cells: Paths, published: str | Path, csv: str | Path) -> None:
    """The table of a study as CSV and, beside it, Markdown and LaTeX."""
    described, csv = Study(**study), Path(csv)
    table = study_table(load_cells(cells), load_published(published), described)
    for_spreadsheets(table).to_csv(csv, index=False)
    said = "" if described.ladders else verdict(table)  # the best of several degradations says nothing
    csv.with_suffix(".md").write_text((f"{escaped(said)}\n\n" if said else "") + to_markdown(table), encoding="utf-8")
    csv.with_suffix(".tex").write_text(to_latex(table, described.name, described.question), encoding="utf-8")


def write_limits(study: Mapping, cells: Paths, rates: str | Path, limits: str | Path) -> None:
    """The hit rates of a study with ladders by strength, and its limits, as CSV."""
    matrix = matrix_of(load_cells(cells), Study(**study))
    for_spreadsheets(matrix.rates).to_csv(rates, index=False)
    for_spreadsheets(matrix.limits).to_csv(limits, index=False)
    shown = matrix.limits[matrix.limits["query_s"] == matrix.shown_s]
    print(shown[["configuration", "ladder", "query_s", "said"]].to_string(index=False))


def write_beyond(table: str | Path, csv: str | Path) -> None:
    """The hit rates beyond the data as CSV, with how many ``times`` the data a database has, and, beside it, Markdown."""
    found, csv = read_beyond(table), Path(csv)
    for_spreadsheets(found.table.assign(times=found.times_of(found.table).round(4))).to_csv(csv, index=False)
    csv.with_suffix(".md").write_text(beyond.to_markdown(found), encoding="utf-8")
    print("\n".join(found.says))


def read_beyond(table: str | Path) -> beyond.Beyond:
    """What `nafp.evaluation.extrapolation` found, from its file."""
    with damaged_file_errors(table):
        return beyond.Beyond(pd.read_csv(table))
