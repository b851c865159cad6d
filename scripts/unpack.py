"""Unpack the data set's archive."""

import json
from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.obtain import unpack_all
from nafp.datasets.sources import Place

with tee_to_log(snakemake.log[0]):
    archives = json.loads(Path(snakemake.input.archives).read_text(encoding="utf-8"))
    output = Path(snakemake.output.unpacked)
    place = Place(Path(snakemake.params.root), output.parent)
    files = unpack_all(archives, snakemake.params.unpacked_gb, place)
    output.write_text(json.dumps({"root": str(place.root), "files": files}) + "\n", encoding="utf-8")
