"""Draw the hit rates in databases larger than the data."""

from nafp.console import tee_to_log
from nafp.report.figures.job import draw_beyond

with tee_to_log(snakemake.log[0]):
    draw_beyond(snakemake.input.table, snakemake.output.svg)
