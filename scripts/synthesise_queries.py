"""Degrade the songs of a split into queries."""

from pathlib import Path

from nafp.augment.chain import Chain
from nafp.augment.queries import write_queries
from nafp.console import logged
from nafp.data.corpus import Split
from nafp.data.pools import AudioPool

with logged(snakemake.log[0]):
    params, root = snakemake.params, Path(snakemake.params.root)
    pools = {pool: AudioPool(Split.read(root, f"{pool}_test")) for pool in params.pools}
    write_queries(Path(snakemake.input.songs), Path(snakemake.output[0]), Chain(params.steps, pools), params.seed)
