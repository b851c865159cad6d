"""Write one study's table."""

from pathlib import Path

from nafp.console import logged
from nafp.report.cells import keys_of, load_cells
from nafp.report.formats import to_latex, to_markdown
from nafp.report.published import load_published
from nafp.report.significance import hits_beside
from nafp.report.tables import Study, study_table

with logged(snakemake.log[0]):
    study = Study(**snakemake.params.study)
    paths = snakemake.params.cells
    cells = load_cells(paths)
    hits = dict(zip(keys_of(cells), map(hits_beside, paths), strict=True))
    table = study_table(cells, load_published(snakemake.input.published), study, hits)
    table.to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.markdown).write_text(to_markdown(table), encoding="utf-8")
    Path(snakemake.output.latex).write_text(to_latex(table, study.name, study.question), encoding="utf-8")
