"""Degrade the songs of a split into queries."""

from pathlib import Path

from nafp.augment import Chain
from nafp.console import logged
from nafp.corpus import Split
from nafp.pools import AudioPool
from nafp.queries import write_queries

with logged(snakemake.log[0]):
    params, root = snakemake.params, Path(snakemake.params.root)
    pools = {pool: AudioPool(Split.read(root, f"{pool}_test")) for pool in params.pools}
    write_queries(Path(snakemake.input.songs), Path(snakemake.output[0]), Chain(params.steps, pools), params.seed)
