"""What methods are given besides songs, and what they give: queries and ranked answers."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nafp.audio.segments import SAMPLE_RATE, sequence_samples
from nafp.audio.splits import Split
from nafp.methods.interface import FILES
from nafp.search.result import KEPT

NOTHING = -1


@dataclass(frozen=True)
class Queries:
    """The query clips of a query set, and the numbers of the segments where the q queries start, ``starts`` (q,).

    ``lengths``: those that are asked, in segments; none if not known.
    """

    split: Split
    starts: np.ndarray
    query_set: str = FILES
    lengths: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def names(self) -> np.ndarray:
        """(q,) the files of the clips that they are from, relative to the data set."""
        return self.split.clips["path"].to_numpy()[self.split.segments.clip[self.starts]]

    @cached_property
    def start_s(self) -> np.ndarray:
        """(q,) seconds into their clips where they start."""
        segments = self.split.segments
        first = self.split.clips["start"].to_numpy()[segments.clip[self.starts]]
        return (segments.start[self.starts] - first) / SAMPLE_RATE

    def audio(self, query: int, length: int) -> np.ndarray:
        """(T,) int16 samples of a query of ``length`` segments, which are one second each and half a second apart."""
        start = self.split.segments.start[self.starts[query]]
        return self.split.audio[start : start + sequence_samples(length)]


@dataclass(frozen=True)
class Answers:
    """Ranked answers to q queries.

    ``song``: (q, KEPT) numbers of songs, best first, NOTHING where there are fewer answers; ``offset_s``: (q, KEPT) seconds
    into the song where the query starts; ``score``: (q, KEPT), the higher the better, -inf where there is no answer
    (float32). The other three, (q,) each: the best answer of another song than the first one's.
    """

    song: np.ndarray
    offset_s: np.ndarray
    score: np.ndarray
    other_song: np.ndarray
    other_offset_s: np.ndarray
    other_score: np.ndarray


def ranked(query: np.ndarray, song: np.ndarray, offset_s: np.ndarray, score: np.ndarray, queries: int) -> Answers:
    """Candidates in any order, (n,) each: number of the query, song, seconds into it, score -> the best of each query.

    Of equal scores the first stays first; NaN and -inf are no answers.
    """
    query, song = np.asarray(query, np.int64), np.asarray(song, np.int64)
    offset_s, score = np.asarray(offset_s, float), np.asarray(score, np.float32)
    order = np.lexsort((-score, query))
    order = order[np.isfinite(score[order]) | np.isposinf(score[order])]
    query, song, offset_s, score = query[order], song[order], offset_s[order], score[order]
    first = np.searchsorted(query, np.arange(queries))
    rank = np.arange(len(query)) - first[query]
    kept = _filled(query, rank, (song, offset_s, score), (queries, KEPT))
    elsewhere = song != kept[0][query, 0]
    among = query[elsewhere]
    nth = np.arange(len(among)) - np.searchsorted(among, np.arange(queries))[among]
    others = _filled(among, nth, (song[elsewhere], offset_s[elsewhere], score[elsewhere]), (queries, 1))
    return Answers(*kept, *(one[:, 0] for one in others))


def _filled(query: np.ndarray, rank: np.ndarray, values: tuple, shape: tuple[int, int]) -> list[np.ndarray]:
    """Song, offset and score of the first answers of each query, (queries, kept) each."""
    kept = rank < shape[1]
    filled = [np.full(shape, NOTHING), np.zeros(shape), np.full(shape, -np.inf, np.float32)]
    for one, value in zip(filled, values, strict=True):
        one[query[kept], rank[kept]] = value[kept]
    return filled
