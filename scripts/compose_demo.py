"""Compose the demo corpus."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.demo.corpus import write_corpus

with tee_to_log(snakemake.log[0]):
    params = snakemake.params
    write_corpus(Path(params.root), params.songs, params.seed, params.clip_s, snakemake.threads, params.sounds)
