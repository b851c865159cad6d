"""Download the list of test ids."""

from nafp.console import logged
from nafp.datasets.download import fetch

with logged(snakemake.log[0]):
    fetch(snakemake.params.url, snakemake.params.sha256, snakemake.output[0])
