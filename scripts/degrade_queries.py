"""Degrade the test songs into a query set."""

from pathlib import Path

from nafp.augment.chain import Chain
from nafp.augment.queries import pack_queries
from nafp.console import logged
from nafp.data.corpus import Split
from nafp.data.pools import AudioPool

with logged(snakemake.log[0]):
    inputs, output, params = snakemake.input, snakemake.output, snakemake.params
    sounds = dict(zip(params.pools, inputs.sounds, strict=True))
    chain = Chain(params.steps, {pool: AudioPool(Split.open(path)) for pool, path in sounds.items()})
    pack_queries(Split.open(inputs.songs), Path(output.array), Path(output.table), chain, params.seed)
