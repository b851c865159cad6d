"""Write one study's table."""

from nafp.console import tee_to_log
from nafp.report.tables.job import write_table

with tee_to_log(snakemake.log[0]):
    inputs = snakemake.input
    write_table(snakemake.params.study, inputs.cells, inputs.published, snakemake.output.csv)
