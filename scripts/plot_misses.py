"""Draw where the answers to the shortest queries lie, run by run."""

from nafp.console import tee_to_log
from nafp.report.figures.job import draw_misses

with tee_to_log(snakemake.log[0]):
    draw_misses(snakemake.input.cells, snakemake.params.packed, snakemake.output.svg)
