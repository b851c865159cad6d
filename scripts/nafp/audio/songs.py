"""The songs that are searched: distractors, then the test songs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nafp.audio.segments import SAMPLE_RATE, count_segments
from nafp.audio.splits import Split


def songs_of_rows(*samples: np.ndarray) -> np.ndarray:
    """Lengths of the clips of each split of a database, in samples -> (rows,) the number of each row's song."""
    counts = count_segments(np.concatenate(samples))
    # numbers of 8 bytes would be half a gigabyte for the paper's database
    return np.repeat(np.arange(len(counts), dtype=np.int32), counts)


@dataclass(frozen=True)
class Songs:
    """Two packed splits. The number of a song, and that of a row of the database (one a segment), count through both, from 0."""

    dummy: Split
    db: Split

    def __len__(self) -> int:
        return len(self.dummy.clips) + len(self.db.clips)

    @cached_property
    def names(self) -> list[str]:
        """Their files, relative to the data set, as per-query tables name them."""
        return [*self.dummy.clips["path"], *self.db.clips["path"]]

    @property
    def seconds(self) -> np.ndarray:
        """(songs,) how long each is."""
        return np.concatenate([self.dummy.clips["samples"], self.db.clips["samples"]]) / SAMPLE_RATE

    @cached_property
    def of_row(self) -> np.ndarray:
        """(rows,) the number of each row's song."""
        return songs_of_rows(self.dummy.clips["samples"], self.db.clips["samples"])

    @cached_property
    def segments(self) -> np.ndarray:
        """(songs,) how many segments each has."""
        return np.bincount(self.of_row)

    @property
    def dummy_rows(self) -> int:
        """How many rows of the database are distractors."""
        return len(self.dummy.segments)

    def audio(self, song: int) -> np.ndarray:
        """(T,) int16 samples of a song."""
        split, number = (self.dummy, song) if song < len(self.dummy.clips) else (self.db, song - len(self.dummy.clips))
        start, samples = (int(split.clips[column].iloc[number]) for column in ("start", "samples"))
        return split.audio[start : start + samples]
