"""Name the shards of a split."""

from pathlib import Path

from nafp.console import logged
from nafp.search.vectors import write_manifest

with logged(snakemake.log[0]):
    write_manifest(Path(snakemake.output[0]), [Path(shard) for shard in snakemake.input.shards])
