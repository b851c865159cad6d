"""Degrade the songs of a split into queries."""

from pathlib import Path

from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.held_out import held_out_pools
from nafp.augment.queries import write_queries
from nafp.console import tee_to_log
from nafp.datasets.layout import SPLITS, sounds_split

with tee_to_log(snakemake.log[0]):
    params, root = snakemake.params, Path(snakemake.params.root)
    sounds = {pool: Split.read(root, SPLITS[sounds_split(pool, "test")]) for pool in params.pools}
    chain = Chain(params.steps, held_out_pools(sounds, snakemake.wildcards.part), for_queries=True)
    write_queries(Path(snakemake.input.songs), Path(snakemake.output.queries), chain, params.seed)
