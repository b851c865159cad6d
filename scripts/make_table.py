"""Write one study's table."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.tables.cells import load_cells
from nafp.report.tables.formats import to_latex, to_markdown
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study, study_table
from nafp.text import for_spreadsheets

with tee_to_log(snakemake.log[0]):
    study = Study(**snakemake.params.study)
    table = study_table(load_cells(snakemake.params.cells), load_published(snakemake.input.published), study)
    for_spreadsheets(table).to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.markdown).write_text(to_markdown(table), encoding="utf-8")
    Path(snakemake.output.latex).write_text(to_latex(table, study.name, study.question), encoding="utf-8")
