"""Make weights that others trained a run."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.jobfacts import job_facts
from nafp.pretrained.obtain import import_pretrained

with tee_to_log(snakemake.log[0]):
    outputs = {name: Path(path) for name, path in snakemake.output.items()}
    facts = job_facts("CPU", snakemake.threads)
    import_pretrained(snakemake.wildcards.name, snakemake.params.options, Path(snakemake.params.store), outputs, facts)
