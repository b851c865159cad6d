"""Compose the demo corpus."""

from pathlib import Path

from nafp.console import logged
from nafp.demo.corpus import write_corpus

with logged(snakemake.log[0]):
    params = snakemake.params
    write_corpus(Path(params.root), params.songs, params.seed, params.clip_s, snakemake.threads)
