"""What is asked: where test sequences start in the query clips, and which segments of the songs are right, by the time map.

A query clip begins where its song begins. The column ``rate`` of its clip table is the time map: song seconds = rate x query
seconds; without that column it is 1. The right segment is the one that begins nearest to the song time at which the query
begins; of two equally near, the later one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE, count_segments
from nafp.evaluation.protocol import PROTOCOLS
from nafp.evaluation.starts import allowed_starts, check_starts, choose_starts, read_ids


@dataclass(frozen=True)
class Asked:
    """q test sequences.

    ``starts``: (q,) segments of the query clips, counted through all of them; ``right``: (q,) segments of the test songs,
    counted in the same way; ``moved``: where time moves, "start", seconds into the song, and "rate", (q,) each.
    """

    starts: np.ndarray
    right: np.ndarray
    moved: dict[str, np.ndarray] | None

    @classmethod
    def of(cls, songs: pd.DataFrame, queries: pd.DataFrame, search: Mapping) -> "Asked":
        """What ``search`` of the config asks of query clips (their table, and that of their songs, in the same order)."""
        clips = TimeMap.of(songs, queries)
        test_ids, protocol, lengths = (search[name] for name in ("test_ids", "protocol", "lengths"))
        samples = queries["samples"].to_numpy()
        if "rate" in queries and isinstance(test_ids, str) and test_ids != "all":
            possible = allowed_starts(songs["samples"], protocol, lengths)
            ids = check_starts(read_ids(Path(test_ids)), possible, test_ids, protocol)
            starts = clips.nearest_starts(np.array(ids), protocol, max(lengths))
            check_starts(starts.tolist(), allowed_starts(samples, protocol, lengths), test_ids, protocol)
        else:
            starts = choose_starts(samples, test_ids, protocol, lengths, search["seed"])
        clip = clips.of_query(starts)
        rate = clips.rate[clip]
        nth = (starts - clips.query_first[clip]) * rate
        right = np.minimum(np.floor(nth + 0.5).astype(np.int64), clips.songs[clip] - 1)
        moved = {"start": nth * HOP / SAMPLE_RATE, "rate": rate} if "rate" in queries else None
        return cls(starts, clips.song_first[clip] + right, moved)


@dataclass(frozen=True)
class TimeMap:
    """Query clips and their songs: (clips,) numbers of segments of each and of those before it, and the rates."""

    songs: np.ndarray
    queries: np.ndarray
    rate: np.ndarray

    @classmethod
    def of(cls, songs: pd.DataFrame, queries: pd.DataFrame) -> "TimeMap":
        rate = queries["rate"].to_numpy(float) if "rate" in queries else np.ones(len(queries))
        return cls(count_segments(songs["samples"]), count_segments(queries["samples"]), rate)

    @property
    def song_first(self) -> np.ndarray:
        return np.cumsum(self.songs) - self.songs

    @property
    def query_first(self) -> np.ndarray:
        return np.cumsum(self.queries) - self.queries

    def of_query(self, segments: np.ndarray) -> np.ndarray:
        """(q,) segments of the query clips -> (q,) the clips that they are of."""
        return np.searchsorted(np.cumsum(self.queries), segments, "right")

    def nearest_starts(self, ids: np.ndarray, protocol: str, longest: int) -> np.ndarray:
        """(n,) listed segments of the songs -> segments of the query clips: the nearest possible starts, each once.

        Those of clips in which no sequence can start are left out.
        """
        rule = PROTOCOLS[protocol]
        clip = np.searchsorted(np.cumsum(self.songs), ids, "right")
        nth = (ids - self.song_first[clip]) / self.rate[clip]
        last = (self.queries - (longest if rule.within_clip else 1))[clip]
        start = rule.every * np.clip(np.floor(nth / rule.every + 0.5), 0, last // rule.every).astype(np.int64)
        return pd.unique((self.query_first[clip] + start)[last >= 0])
