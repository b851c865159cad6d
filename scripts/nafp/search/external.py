"""Fingerprints made elsewhere: which files they are, and how they divide a clip. Planning reads this file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor
from pathlib import Path
from typing import Any

from nafp.audio.segments import HOP, SAMPLE_RATE, SEGMENT

EXCHANGED = {"test_db": "db", "test_query": "query", "dummy": "dummy_db"}  # split -> name in the original's format
TOLERANCE = 1e-6  # of a hop, for hops that are no binary fraction of a second


@dataclass(frozen=True)
class Grid:
    """How fingerprints divide a clip: one of each ``segment_s`` seconds, every ``hop_s`` seconds from the clip's beginning on."""

    hop_s: float = HOP / SAMPLE_RATE
    segment_s: float = SEGMENT / SAMPLE_RATE

    def count(self, samples: int) -> int:
        """Number of fingerprints of a clip, by its length in samples (at 8 kHz); a shorter clip than a segment has one."""
        return max(floor((samples / SAMPLE_RATE - self.segment_s) / self.hop_s + TOLERANCE) + 1, 1)

    def __str__(self) -> str:
        return f"{self.segment_s:g} s, every {self.hop_s:g} s, clip after clip"


OURS = Grid()


@dataclass(frozen=True)
class Exchanged:
    """An entry of the config's ``external``: a folder, or more about it.

    ``files``: split -> file in the folder. ``normalize``: whether rows are to be brought to length 1.
    """

    folder: Path
    grid: Grid = OURS
    normalize: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, entry: str | Path | Mapping[str, Any]) -> "Exchanged":
        if not isinstance(entry, Mapping):
            return cls(Path(entry))
        grid = Grid(**{name: entry[name] for name in ("hop_s", "segment_s") if name in entry})
        return cls(Path(entry["folder"]), grid, entry.get("normalize", False), entry.get("files", {}))

    def source(self, split: str) -> Path:
        """The file of a split's fingerprints: as ``files`` says, else {part}.npy if it is there, else {part}.mm."""
        if split in self.files:
            return self.folder / self.files[split]
        part = EXCHANGED.get(split, split)  # of other query sets than the data set's own: query_NAME
        npy = self.folder / f"{part}.npy"
        return npy if npy.is_file() else self.folder / f"{part}.mm"

    def sources(self, split: str) -> list[Path]:
        """``source``, and the file that has its shape if it is no ``.npy``."""
        source = self.source(split)
        return [source] if source.suffix == ".npy" else [source, source.with_name(f"{source.stem}_shape.npy")]
