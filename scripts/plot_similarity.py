"""Draw how alike the queries of a song are to its segments, run by run."""

from nafp.console import tee_to_log
from nafp.report.figures.job import draw_similarity

with tee_to_log(snakemake.log[0]):
    inputs = snakemake.input
    draw_similarity(inputs.cells, snakemake.params.vectors, inputs.clips, snakemake.output.svg)
