"""Draw one figure of a study."""

from nafp.console import tee_to_log
from nafp.report.figures.job import Look, draw_study

with tee_to_log(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    draw_study(
        snakemake.wildcards.figure,
        params.study,
        cells=inputs.cells,
        table=inputs.table,
        published=inputs.published,
        look=Look(**params.look),
        svg=snakemake.output.svg,
    )
