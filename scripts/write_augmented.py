"""Write augmented copies of a split."""

from pathlib import Path

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.queries import write_copies
from nafp.augment.steps import STEPS, names_of
from nafp.console import tee_to_log

with tee_to_log(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    pools = {pool: AudioPool(Split.open(path)) for pool, path in zip(params.pools, inputs.sounds, strict=True)}
    every = round(params.every_s * SAMPLE_RATE)
    if masks := [name for name in names_of(params.steps) if STEPS[name].stage == "image"]:
        print(f"left out, because they act on log-mel images: {', '.join(masks)}")
    chain = Chain(params.steps, pools, every, for_queries=True)
    write_copies(Split.open(inputs.songs), Path(snakemake.output.copies), chain, params.seed, every)
