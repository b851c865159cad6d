"""Draw hit rate and search time over the size of the database."""

from nafp.console import tee_to_log
from nafp.report.figures.job import Look, draw_scale

with tee_to_log(snakemake.log[0]):
    draw_scale(snakemake.input.tables, Look(**snakemake.params.look), snakemake.output.svg)
