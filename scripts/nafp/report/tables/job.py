"""The job that writes the table of a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from nafp.report.tables.cells import load_cells
from nafp.report.tables.formats import escaped, to_latex, to_markdown
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
    said = verdict(table)
    csv.with_suffix(".md").write_text((f"{escaped(said)}\n\n" if said else "") + to_markdown(table), encoding="utf-8")
    csv.with_suffix(".tex").write_text(to_latex(table, described.name, described.question), encoding="utf-8")
