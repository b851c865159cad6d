"""Draw loss and validation over the epochs, of all trained runs."""

from nafp.console import tee_to_log
from nafp.report.figures.job import Look, draw_learning

with tee_to_log(snakemake.log[0]):
    draw_learning(snakemake.input.histories, Look(**snakemake.params.look), snakemake.output.svg)
