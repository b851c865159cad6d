"""Bring the data set's archive here."""

import json
from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.obtain import obtain
from nafp.datasets.sources import Place

with tee_to_log(snakemake.log[0]):
    output = Path(snakemake.output.archives)
    archives = obtain(snakemake.params.options, Place(Path(snakemake.params.root), output.parent))
    output.write_text(json.dumps(archives, indent=2) + "\n", encoding="utf-8")
