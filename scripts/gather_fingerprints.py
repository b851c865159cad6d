"""Name the shards of a split."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.search.vectors import write_manifest

with tee_to_log(snakemake.log[0]):
    write_manifest(Path(snakemake.output.vectors), [Path(shard) for shard in snakemake.input.shards])
