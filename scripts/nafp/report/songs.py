"""The songs that were searched, as what the page lets one hear of them."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nafp.audio.segments import SAMPLE_RATE, SEGMENT, sequence_samples
from nafp.audio.songs import Songs
from nafp.audio.splits import Split


class HeardSongs(Songs):
    """Songs with titles, and the audio and place of each row of the database."""

    @cached_property
    def titles(self) -> list[str]:
        """Names of the songs' files without folder and suffix; the whole names where several songs would have the same."""
        stems = pd.Series([Path(name).stem for name in self.names])
        return stems.where(~stems.duplicated(keep=False), self.names).tolist()

    def locate(self, row: int) -> tuple[Split, int]:
        """Split and segment number of a row of the database."""
        first = self.dummy_rows
        return (self.dummy, row) if row < first else (self.db, row - first)

    def cut(self, row: int, length: int = 1) -> np.ndarray:
        """The samples of so many segments from a row on, see ``cut``."""
        return cut(*self.locate(row), length)

    def place(self, row: int) -> dict[str, Any]:
        """Song, and seconds into it."""
        split, segment = self.locate(row)
        clip = split.segments.clip[segment]
        at = (split.segments.start[segment] - split.clips["start"].iloc[clip]) / SAMPLE_RATE
        return {"song": self.titles[self.of_row[row]], "at_s": round(float(at), 2)}


def cut(split: Split, segment: int, length: int = 1) -> np.ndarray:
    """(T,) the samples of ``length`` segments of a clip from a segment on, from -1 to 1; fewer if the clip ends before."""
    clip, start = split.clips.iloc[split.segments.clip[segment]], int(split.segments.start[segment])
    end = min(start + sequence_samples(length), int(clip["start"]) + max(int(clip["samples"]), SEGMENT))
    return split.audio[start:end].astype(np.float32) / 32768
