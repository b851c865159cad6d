"""Draw one figure of a study."""

from nafp.console import tee_to_log
from nafp.report.figures.job import Look, draw_study

with tee_to_log(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    files = inputs.cells, inputs.table, inputs.published
    draw_study(snakemake.wildcards.figure, params.study, *files, Look(**params.look), snakemake.output.svg)
