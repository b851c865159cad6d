"""Write augmented copies of a split."""

from pathlib import Path

from nafp.augment.chain import Chain
from nafp.augment.queries import write_copies
from nafp.console import logged
from nafp.data.corpus import Split
from nafp.data.layout import SAMPLE_RATE
from nafp.data.pools import AudioPool

with logged(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    sounds = dict(zip(params.pools, inputs.sounds, strict=True))
    every = round(params.every_s * SAMPLE_RATE)
    chain = Chain(params.steps, {pool: AudioPool(Split.open(path)) for pool, path in sounds.items()}, every)
    write_copies(Split.open(inputs.songs), Path(snakemake.output[0]), chain, params.seed, every)
