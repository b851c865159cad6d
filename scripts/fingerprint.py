"""Fingerprint a split."""

from pathlib import Path

from nafp import compute
from nafp.console import logged
from nafp.data.corpus import Split
from nafp.model.fingerprint import fingerprint_to_file, load_model

with logged(snakemake.log[0]):
    params, device = snakemake.params, compute.set_up(snakemake.threads)
    network = load_model(snakemake.input.weights, params.features, params.model, params.dim)
    fingerprint_to_file(network, params.dim, Split.open(snakemake.input.audio), device, Path(snakemake.output[0]))
