"""Exact scores of right places and of the best place in every other song, in a stream: only the best are kept.

The score of a place is that of `nafp.search.sequences`: the mean inner product of a sequence with the fingerprints there. All
places are scored, by matrix products; no index is involved. All songs but a query's own are its distractors, and the unit is the
song, since neighbouring places depend on each other: a place belongs to a song if the whole window lies inside it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from nafp.evaluation.protocol import Protocol
from nafp.search.vectors import Database, Shards, release_pages

ROWS = 2**12  # database rows scored at a time, at least one song
SCORES = 2**21  # scores held at a time
TIE = 1e-6  # scores that differ by less are equal: matrix products round by position


@dataclass
class Kept:
    """What is kept of the scores of q sequences of one length in some of the songs.

    ``chosen``: (songs,) booleans, which songs count. ``right``: (q,) scores of the right places; ``beaten``: (q,) songs with a
    place at least as good; ``top``: (q, kept) the best places of the best songs, descending, -inf where there are fewer, and
    ``song``: (q, kept) their songs.
    """

    chosen: np.ndarray
    right: np.ndarray
    kept: int
    beaten: np.ndarray = field(init=False)
    top: np.ndarray = field(init=False)
    song: np.ndarray = field(init=False)

    def __post_init__(self):
        shape = len(self.right), self.kept
        self.beaten, self.song = np.zeros(len(self.right), np.int64), np.full(shape, -1)
        self.top = np.full(shape, -np.inf, np.float32)

    def add(self, queries: slice, songs: np.ndarray, best: np.ndarray) -> None:
        """The ``best`` scores (some of the queries, songs) of more songs; a NaN counts as none."""
        counts = self.chosen[songs]
        songs, best = songs[counts], np.where(np.isnan(best), -np.inf, best)[:, counts]
        self.beaten[queries] += (best >= self.right[queries, None] - TIE).sum(axis=1)
        top = np.concatenate([self.top[queries], best], axis=1)
        song = np.concatenate([self.song[queries], np.broadcast_to(songs, best.shape)], axis=1)
        order = np.argsort(-top, axis=1, kind="stable")[:, : self.kept]
        self.top[queries], self.song[queries] = (np.take_along_axis(one, order, axis=1) for one in (top, song))


@dataclass(frozen=True)
class Sequences:
    """Sequences to score: segments ``query`` (n, d), ``starts`` (q,), ``right`` (q,) segments of the test songs, ``lengths`` in
    segments."""

    query: np.ndarray
    starts: np.ndarray
    right: np.ndarray
    lengths: Sequence[int]

    def scores(self, vectors: np.ndarray, queries: slice) -> Iterator[tuple[int, np.ndarray]]:
        """Each length, ascending, and the scores (q, rows) of some sequences at every row of ``vectors`` (rows, d).

        Segments past the end of the queries or of the vectors count as 0.
        """
        where, rows = self.starts[queries, None] + np.arange(max(self.lengths)), len(vectors)
        needed, where = np.unique(np.minimum(where, len(self.query)), return_inverse=True)
        segments = np.vstack([self.query, np.zeros_like(self.query[:1])])[needed]
        where, products = where.reshape(-1, max(self.lengths)), segments @ vectors.T
        total = np.zeros((len(where), rows), np.float32)
        for i in range(max(self.lengths)):
            if i < rows:
                total[:, : rows - i] += products[where[:, i], i:]
            if i + 1 in self.lengths:
                yield i + 1, total / (i + 1)

    def chunks(self, rows: int) -> Iterator[slice]:
        """The sequences, so many at a time that their scores at so many rows fit into memory."""
        step = max(SCORES // max(rows, 1), 1)
        return (slice(at, min(at + step, len(self.starts))) for at in range(0, len(self.starts), step))


def score_own_songs(
    asked: Sequences, db: np.ndarray | Shards, songs: np.ndarray, protocol: Protocol
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Length -> (right, wrong), (q,) each: scores of the right place and of the best other one that begins in the same song.

    ``db``: (n, d) fingerprints of the test songs, ``songs``: (n,) their songs. Which places count is the protocol's. NaN or -inf
    where there is none.
    """
    vectors = np.asarray(db, np.float32)
    found = {n: (np.empty(len(asked.starts)), np.empty(len(asked.starts))) for n in asked.lengths}
    for queries in asked.chunks(len(vectors)):
        right, line = asked.right[queries], np.arange(queries.stop - queries.start)
        elsewhere = songs != songs[right][:, None]
        for n, scores in asked.scores(vectors, queries):
            if protocol.partial_mean:
                left = np.minimum(
                    len(vectors) - np.arange(len(vectors)), (len(asked.query) - asked.starts[queries])[:, None]
                )
                scores *= n / np.minimum(left, n)
            if protocol.within_song:
                scores[:, ~_inside(songs, n)] = np.nan
            found[n][0][queries] = scores[line, right]
            scores[line, right] = np.nan
            found[n][1][queries] = np.where(elsewhere | np.isnan(scores), -np.inf, scores).max(axis=1)
    return found


def score_songs(
    asked: Sequences,
    stream: Iterable[tuple[np.ndarray, np.ndarray]],
    own: np.ndarray,
    right: dict[int, np.ndarray],
    chosen: Sequence[tuple[np.ndarray, int]],
) -> dict[int, list[Kept]]:
    """Length -> what is kept for each choice of songs.

    ``stream``: blocks of whole songs, fingerprints (rows, d) and the song of each row, ascending. ``own``: (q,) the song of
    each sequence, which is none of its distractors. ``right``: as from `score_own_songs`. ``chosen``: (songs,) booleans,
    and how many of the best are kept.
    """
    found = {n: [Kept(some, right[n], kept) for some, kept in chosen] for n in asked.lengths}
    for vectors, of_rows in stream:
        numbers, begins = np.unique(of_rows, return_index=True)
        inside = {n: _inside(of_rows, n) for n in asked.lengths}
        for queries in asked.chunks(len(vectors)):
            for n, scores in asked.scores(vectors, queries):
                scores[:, ~inside[n]] = -np.inf
                best = np.maximum.reduceat(scores, begins, axis=1)
                best[own[queries, None] == numbers] = -np.inf
                for one in found[n]:
                    one.add(queries, numbers, best)
    return found


def blocks(database: Database, songs: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Fingerprints (rows, d) of whole songs of a database, ROWS or one song at a time, and the songs (rows,) of the rows."""
    first = 0
    for vectors in (database.dummy, database.db):
        of_rows = songs[first : first + len(vectors)]
        ends, at = np.append(np.flatnonzero(np.diff(of_rows)) + 1, len(of_rows)), 0
        while at < len(of_rows):
            last = max(np.searchsorted(ends, at + ROWS, "right") - 1, np.searchsorted(ends, at, "right"))
            yield np.ascontiguousarray(vectors[at : ends[last]], np.float32), of_rows[at : ends[last]]
            at = ends[last]
        first += len(vectors)
        release_pages(vectors)


def _inside(songs: np.ndarray, length: int) -> np.ndarray:
    """(rows,) whether a window of ``length`` rows that begins at a row lies inside its song."""
    return np.searchsorted(songs, songs, "right") - np.arange(len(songs)) >= length
