"""Draw hit rate and search time over the size of the database."""

from nafp.console import tee_to_log
from nafp.report.figures.job import draw_scale

with tee_to_log(snakemake.log[0]):
    draw_scale(snakemake.input.tables, snakemake.output.svg)
