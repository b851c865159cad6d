"""Write the hit rates beyond the data as CSV and Markdown."""

from nafp.console import tee_to_log
from nafp.report.tables.job import write_beyond

with tee_to_log(snakemake.log[0]):
    write_beyond(snakemake.input.table, snakemake.output.csv)
