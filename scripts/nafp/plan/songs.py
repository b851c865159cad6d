"""How much audio a data set has, split by split, before or after it was verified."""

import csv
from collections.abc import Mapping
from math import fsum
from pathlib import Path
from typing import NamedTuple

from nafp.audio.segments import SAMPLE_RATE, segments_of
from nafp.datasets.layout import SPLITS
from nafp.datasets.sources import SOURCES, dataset_of
from nafp.errors import UserError
from nafp.walk import files_below, is_wav


class Songs(NamedTuple):
    """Number of songs of a split, and their mean length in seconds."""

    number: int
    seconds: float

    @property
    def samples(self) -> list[int]:
        """Length of each song, if all have the mean length."""
        return [int(self.seconds * SAMPLE_RATE)] * self.number

    @property
    def segments(self) -> int:
        """Number of 1 s segments, if all songs have the mean length."""
        return self.number * segments_of(int(self.seconds * SAMPLE_RATE))

    @property
    def megabytes(self) -> float:
        """Size as 16-bit samples."""
        return self.number * self.seconds * SAMPLE_RATE * 2 / 1e6


# split -> its name in a plan; a query split has as many songs as its database
PLANNED = {"train": "train", "val_db": "val", "test_db": "test", "dummy": "dummy"}
IN_BOTH = {"train": Songs(10_000, 30), "val": Songs(500, 30), "test": Songs(500, 30)}
PUBLISHED = {  # data set -> its splits (dummy songs of full: mean length)
    "mini": IN_BOTH | {"dummy": Songs(10_000, 30)},
    "full": IN_BOTH | {"dummy": Songs(100_000, 270)},
}


def songs_in_manifest(manifest: Path) -> dict[str, Songs]:
    """Split -> songs, of a verified data set."""
    seconds: dict[str, list[float]] = {}
    with open(manifest, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if split := PLANNED.get(row["split"]):
                seconds.setdefault(split, []).append(float(row["seconds"]))
    return {split: Songs(len(found), fsum(found) / len(found)) for split, found in seconds.items()}


def songs_in_folder(root: Path) -> dict[str, Songs]:
    """Split -> songs of a folder in the paper's layout, by the sizes of its WAV files."""
    found = {}
    for split, planned in PLANNED.items():
        sizes = [path.stat().st_size for path in files_below(root / SPLITS[split], is_wav)]
        if sizes:
            found[planned] = Songs(len(sizes), sum(sizes) / len(sizes) / (2 * SAMPLE_RATE))
    return found


def count_songs(config: Mapping, manifest: Path, given: Mapping[str, Songs]) -> tuple[dict[str, Songs], str]:
    """Split -> songs (none of a split that the source lacks), and the source of these numbers; UserError if there is none.

    Sources, the first that there is: the manifest of a verified data set; numbers ``given``, the files in the data set's
    folder, and what was published, the former before the latter split by split.
    """
    dataset = dataset_of(config)
    source = SOURCES[dataset["source"]]
    if in_config := source.clips(config):
        return {planned: Songs(*in_config[split]) for split, planned in PLANNED.items()}, "config"
    name = dataset["name"]
    found = {planned: Songs(0, 0.0) for split, planned in PLANNED.items() if split not in source.splits}
    if manifest.is_file():
        return found | songs_in_manifest(manifest), f"measured: {manifest}"
    in_folder = songs_in_folder(Path(dataset.get("root", f"data/{name}")))
    found |= PUBLISHED.get(name, {}) | in_folder | dict(given)
    if lacking := sorted(set(PLANNED.values()) - set(found)):
        examples = " ".join(f"{split}=1000x30" for split in lacking)
        raise UserError(
            f"{name}: number of songs unknown, it was not verified yet; pass --songs {examples} (songs x seconds of each)"
        )
    if isinstance(most := dataset.get("dummy"), int):
        found["dummy"] = Songs(min(most, found["dummy"].number), found["dummy"].seconds)
    return found, "given" if given else "measured: its files" if in_folder else "published"
