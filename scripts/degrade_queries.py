"""Degrade the test songs into a query set."""

from pathlib import Path

from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.held_out import held_out_pools
from nafp.augment.queries import pack_queries
from nafp.console import tee_to_log

with tee_to_log(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    sounds = {pool: Split.open(path) for pool, path in zip(params.pools, inputs.sounds, strict=True)}
    chain = Chain(params.steps, held_out_pools(sounds, "test"), for_queries=True)
    pack_queries(Split.open(inputs.songs), Path(output.array), Path(output.table), chain, params.seed)
