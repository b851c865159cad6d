"""Make the weights after one epoch a result."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.training.checkpoints import publish_epoch

with tee_to_log(snakemake.log[0]):
    publish_epoch(Path(snakemake.input.weights).parent, int(snakemake.wildcards.epoch), Path(snakemake.output.weights))
