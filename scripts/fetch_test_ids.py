"""Download the list of test ids."""

from nafp.console import tee_to_log
from nafp.datasets.download import fetch

with tee_to_log(snakemake.log[0]):
    fetch(snakemake.params.url, snakemake.params.sha256, snakemake.output.ids)
