"""Draw the heat map of a study."""

from nafp.console import tee_to_log
from nafp.report.figures.job import draw_heat_map

with tee_to_log(snakemake.log[0]):
    draw_heat_map(snakemake.params.study, snakemake.input.cells, snakemake.output.svg)
