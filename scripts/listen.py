"""Degrade some test segments, let the runs answer, and store what there is to hear."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.page.sound_demo import Demo, write_demo

with tee_to_log(snakemake.log[0]):
    write_demo(Demo(**snakemake.params.demo), Path(snakemake.output.listening), snakemake.threads)
