"""Check every file of the data set."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.job import Wanted, verify

with tee_to_log(snakemake.log[0]):
    params, output = snakemake.params, snakemake.output
    verify(
        Path(params.root),
        Wanted(**params.wanted),
        manifest=Path(output.manifest),
        report=Path(output.verification),
        archives=Path(params.archives) if params.archives else None,
        threads=snakemake.threads,
    )
