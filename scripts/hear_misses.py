"""Choose missed queries, and store what there is to hear and see of them; which songs are hard."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.misses.replay import Replay, write_misses

with tee_to_log(snakemake.log[0]):
    files = snakemake.output
    write_misses(Replay(**snakemake.params.replay), Path(files.misses), Path(files.songs), snakemake.threads)
