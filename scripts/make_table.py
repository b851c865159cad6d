"""Write one study's table."""

from pathlib import Path

from nafp.console import logged
from nafp.report.scoreboard import caption, load_cells, load_published, table, to_markdown

with logged(snakemake.log[0]):
    cells = load_cells(snakemake.input.cells)
    wide = table(cells, load_published(snakemake.input.published), snakemake.wildcards.study, snakemake.params.varied)
    wide.to_csv(snakemake.output.csv, index=False)
    Path(snakemake.output.markdown).write_text(to_markdown(wide, caption(cells, wide)) + "\n", encoding="utf-8")
