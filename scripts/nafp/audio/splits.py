"""Packed splits: an int16 array and a clip table each, and the segments of its clips."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SEGMENT, count_segments, first_segments
from nafp.audio.wav import read_wav
from nafp.files import damaged_file_errors
from nafp.walk import escaped_path, files_below, is_wav


@dataclass(frozen=True)
class Segments:
    """The n segments of a split: (n,) arrays of int64.

    ``low`` and ``high``: samples by which a segment may be shifted within its clip, at most one hop.
    """

    clip: np.ndarray
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)


@dataclass(frozen=True)
class Split:
    """A packed split: ``audio`` (T,) int16, memory-mapped; ``clips`` with columns path, start, samples."""

    audio: np.ndarray
    clips: pd.DataFrame

    @classmethod
    def open(cls, array_path: Path | str) -> "Split":
        """Map the array into memory (copy on write: the file is never changed) and read the table beside it.

        Raises UserError if one of them is damaged.
        """
        array_path = Path(array_path)
        with damaged_file_errors(array_path):
            audio = np.load(array_path, mmap_mode="c")
        with damaged_file_errors(array_path.with_suffix(".csv")):
            return cls(audio, pd.read_csv(array_path.with_suffix(".csv")))

    @classmethod
    def read(cls, root: Path, folder: str) -> "Split":
        """The WAV files below ``root / folder``, read into memory without packing them first; named relative to ``root``."""
        paths = files_below(root / folder, is_wav)
        names = [escaped_path(path.relative_to(root).as_posix()) for path in paths]
        return cls.of_clips([read_wav(path) for path in paths], names)

    @classmethod
    def of_clips(cls, clips: list[np.ndarray], names: list[str]) -> "Split":
        """(T,) int16 clips in memory, packed."""
        stored = [np.pad(clip, (0, max(SEGMENT - len(clip), 0))) for clip in clips]
        starts = np.concatenate([[0], np.cumsum([len(clip) for clip in stored])])
        table = pd.DataFrame({"path": names, "start": starts[:-1], "samples": [len(clip) for clip in clips]})
        return cls(np.concatenate(stored), table)

    @cached_property
    def segments(self) -> Segments:
        samples = self.clips["samples"].to_numpy()
        counts = count_segments(samples)
        clip = np.repeat(np.arange(len(counts)), counts)
        nth = np.arange(len(clip)) - np.repeat(first_segments(counts), counts)
        room = np.maximum(samples[clip] - SEGMENT, 0) - nth * HOP
        start = self.clips["start"].to_numpy()[clip] + nth * HOP
        return Segments(clip, start, -np.minimum(nth * HOP, HOP), np.minimum(room, HOP))
