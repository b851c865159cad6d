"""Fingerprint a split."""

from pathlib import Path

from nafp import compute
from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.model.fingerprint import fingerprint_to_file
from nafp.model.weights import load_model

with tee_to_log(snakemake.log[0]):
    params, device = snakemake.params, compute.set_up(snakemake.threads)
    network = load_model(snakemake.input.weights, **params.model)
    split, path = Split.open(snakemake.input.audio), Path(snakemake.output.vectors)
    fingerprint_to_file(network, split, device, path, *params.shard)
