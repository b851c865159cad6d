"""Pack a split."""

from pathlib import Path

import pandas as pd

from nafp.audio.packing import pack
from nafp.console import tee_to_log
from nafp.datasets.checks import check_present
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import with_places

with tee_to_log(snakemake.log[0]):
    root, split = Path(snakemake.params.root), snakemake.wildcards.split
    manifest = pd.read_csv(snakemake.input.manifest)
    clips = manifest[manifest["split"] == split]
    clips = with_places(clips, root) if split == "test_query" else clips
    check_present(len(clips), root / SPLITS[split], split)
    pack(root, clips, Path(snakemake.output.array), Path(snakemake.output.table), snakemake.threads)
