"""Find the strengths of degradations at which half of the queries are found."""

from nafp.console import tee_to_log
from nafp.report.tables.job import write_limits

with tee_to_log(snakemake.log[0]):
    write_limits(snakemake.params.study, snakemake.input.cells, snakemake.output.rates, snakemake.output.limits)
