"""What is asked: where test sequences start in the query clips, and which segments of the songs are right, by the time map.

A query clip is a copy of the song with its number, and begins where that begins; unless its clip table has the columns ``song``
(file) and ``song_start_s``, as that of recordings has. The column ``rate`` of its clip table is the time map: song seconds =
song_start_s + rate x query seconds; without that column it is 1. The right segment is the one that begins nearest to the song
time at which the query begins; of two equally near, the later one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE, clips_at, count_segments, first_segments
from nafp.errors import UserError
from nafp.evaluation.protocol import PROTOCOLS
from nafp.evaluation.starts import allowed_starts, check_starts, choose_starts, read_ids


def unknown_places(what: str) -> UserError:
    """What to say where ``what`` asks for the places of queries, and those of some are not known."""
    return UserError(f"{what}: the table of queries does not say where in their songs all of them are")


@dataclass(frozen=True)
class Asked:
    """q test sequences.

    ``starts``: (q,) segments of the query clips, counted through all of them; ``right``: (q,) segments of the test songs,
    counted in the same way; ``moved``: where time moves, "start", seconds into the song, and maybe "rate", (q,) each.
    ``placed``: whether it is known where in their songs all of them are; if not, ``right`` is the first segment of the song, and
    "start" the seconds into the clip.
    """

    starts: np.ndarray
    right: np.ndarray
    moved: dict[str, np.ndarray] | None
    placed: bool = True

    @classmethod
    def of(cls, songs: pd.DataFrame, queries: pd.DataFrame, search: Mapping) -> "Asked":
        """What ``search`` of the config asks of query clips, by their table and that of the songs.

        UserError if they name a song that is not there.
        """
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
        clip = clips_at(starts, clips.queries)
        rate = clips.rate[clip]
        placed, nth = bool(np.isfinite(clips.begin).all()), (starts - clips.query_first[clip]) * rate
        nth = nth + clips.begin[clip] if placed else nth
        right = np.minimum(np.floor(nth + 0.5).astype(np.int64), clips.songs[clip] - 1) * placed
        moved = {"start": nth * HOP / SAMPLE_RATE} if "rate" in queries or "song" in queries else None
        moved = moved | {"rate": rate} if moved and "rate" in queries else moved
        return cls(starts, clips.song_first[clip] + right, moved, placed)

    def require_places(self, what: str) -> None:
        """UserError if it is not known where in their songs all of them are, and ``what`` asks for it."""
        if not self.placed:
            raise unknown_places(what)


@dataclass(frozen=True)
class TimeMap:
    """Query clips, (clips,) each: segments of the song that each is of, and of all songs before that; segments of the clip; the
    rate; where in the song it begins, in segments, NaN if that is not known."""

    songs: np.ndarray
    song_first: np.ndarray
    queries: np.ndarray
    rate: np.ndarray
    begin: np.ndarray

    @classmethod
    def of(cls, songs: pd.DataFrame, queries: pd.DataFrame) -> "TimeMap":
        rate = queries["rate"].to_numpy(float) if "rate" in queries else np.ones(len(queries))
        number, begin = np.arange(len(queries)), np.zeros(len(queries))
        if "song" in queries:
            number = pd.Index(songs["path"]).get_indexer(queries["song"])
            begin = queries["song_start_s"].to_numpy(float) * SAMPLE_RATE / HOP
        if (number < 0).any():
            lost = queries["song"][number < 0].iloc[0]
            raise UserError(
                f"{lost}: is none of the test songs, but the table of queries names it; verify the data set again"
            )
        counts = count_segments(songs["samples"])
        return cls(counts[number], first_segments(counts)[number], count_segments(queries["samples"]), rate, begin)

    @property
    def query_first(self) -> np.ndarray:
        return first_segments(self.queries)

    def nearest_starts(self, ids: np.ndarray, protocol: str, longest: int) -> np.ndarray:
        """(n,) listed segments of the songs -> segments of the query clips: the nearest possible starts, each once.

        Those of clips in which no sequence can start are left out.
        """
        rule = PROTOCOLS[protocol]
        clip = clips_at(ids, self.songs)
        nth = (ids - self.song_first[clip]) / self.rate[clip]
        last = (self.queries - (longest if rule.within_clip else 1))[clip]
        start = rule.every * np.clip(np.floor(nth / rule.every + 0.5), 0, last // rule.every).astype(np.int64)
        return pd.unique((self.query_first[clip] + start)[last >= 0])
