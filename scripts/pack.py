"""Pack a split."""

from pathlib import Path

import pandas as pd

from nafp.console import logged
from nafp.data.layout import SPLITS
from nafp.data.packing import pack
from nafp.errors import UserError

with logged(snakemake.log[0]):
    root, split = Path(snakemake.params.root), snakemake.wildcards.split
    manifest = pd.read_csv(snakemake.input.manifest)
    clips = manifest[manifest["split"] == split]
    if clips.empty:
        raise UserError(f"{root / SPLITS[split]}: no WAV files, but a chain of the config needs them (split {split!r})")
    pack(root, clips, Path(snakemake.output.array), Path(snakemake.output.table), snakemake.threads)
