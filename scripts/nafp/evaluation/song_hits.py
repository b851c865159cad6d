"""Hits counted by song, from the per-query tables beside cells, and tests of two systems that were asked the same."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow.dataset import dataset

from nafp.audio.segments import sequence_seconds
from nafp.evaluation.metrics import METRICS, columns, with_paired_tests
from nafp.evaluation.statistics import difference_interval, paired_test, song_differences, songs_of
from nafp.files import damaged_file_errors


def read_counted(path: Path) -> pd.DataFrame:
    """The columns of a per-query table that hits are counted by, of the metrics that it has; UserError if it is damaged."""
    with damaged_file_errors(path):
        table = dataset(path)
        known = [name for name in columns() if name in table.schema.names]
        return table.to_table(["song", "start", "length", *known]).to_pandas()


@dataclass(frozen=True)
class SongHits:
    """Hits of a cell, counted by song.

    ``names``: of the songs, sorted. ``seconds``: of the query lengths. ``queries``: (songs,) how many each song has, of every
    length. ``hits``: (metrics, lengths, songs), in the order of METRICS. ``asked``: a digest of the songs and times that the
    queries are from, in their order.
    """

    names: tuple[str, ...]
    seconds: tuple[float, ...]
    queries: np.ndarray
    hits: np.ndarray
    asked: str

    def of(self, match: str, seconds: float) -> np.ndarray:
        """(songs,) hits of one kind and query length."""
        return self.hits[list(METRICS).index(match), self.seconds.index(seconds)]


@cache
def read_hits(path: Path) -> SongHits:
    """Count a per-query table (`nafp.evaluation.hits.per_query_table`) by song; UserError if it is damaged or missing.

    A metric that is younger than the table has no hits in it; the cell does not state it either, so nobody asks for them.
    """
    table = read_counted(path)
    with damaged_file_errors(path):
        names, numbers = songs_of(table)
        queries = numbers, table["start"].to_numpy(), table["length"].to_numpy()
        songs, starts, lengths = (one.reshape(table["length"].nunique(), -1) for one in queries)
        if (songs != songs[0]).any() or (starts != starts[0]).any() or (lengths != lengths[:, :1]).any():
            raise ValueError("its query lengths are not of the same songs and times")
    found = table.reindex(columns=columns(), fill_value=False).to_numpy(bool).T.reshape(-1, songs.shape[1])
    count = len(names)
    counted = np.stack([np.bincount(songs[0], weights=one, minlength=count) for one in found]).astype(np.int64)
    asked = hashlib.sha256("\n".join(names).encode() + songs[0].astype("<i8").tobytes() + starts[0].tobytes())
    return SongHits(
        names,
        tuple(sequence_seconds(lengths[:, 0]).tolist()),
        np.bincount(songs[0], minlength=count),
        counted.reshape(len(METRICS), len(lengths), count),
        asked.hexdigest(),
    )


@dataclass(frozen=True)
class Pair:
    """One system against another: ``p`` and ``direction`` of `paired_test`; ``difference`` with its interval, -1..1;
    ``differing``: in how many songs they find another number, on the mean of their seeds."""

    p: float
    direction: int
    difference: float
    low: float
    high: float
    differing: int

    @property
    def seeds_agree(self) -> bool:
        """Whether all seeds lie on one side of the other system."""
        return self.direction != 0


UNTESTED = Pair(np.nan, 0, np.nan, np.nan, np.nan, 0)


def paired_tests(
    a: Sequence[SongHits], b: Sequence[SongHits], matches: Iterable[str] | None = None, level: float = 0.95
) -> dict[tuple[str, float], Pair]:
    """(match, seconds) -> one system against another, each a list of its seeds; ``level``: of the intervals.

    For the query lengths that all have; ``matches``: all if not given. Empty if they were not asked the same songs at the same
    times; two query sets may be compared, too: a query of one is the same second of the same song as the other's, degraded
    otherwise.
    """
    if len({one.asked for one in (*a, *b)}) > 1:
        return {}
    shared = [s for s in a[0].seconds if all(s in one.seconds for one in (*a, *b))]
    return {
        (match, s): _pair(*(np.stack([one.of(match, s) for one in side]) for side in (a, b)), a[0].queries, level)
        for match in (METRICS if matches is None else matches)
        if match in with_paired_tests()
        for s in shared
    }


def _pair(a: np.ndarray, b: np.ndarray, queries: np.ndarray, level: float) -> Pair:
    differing = np.count_nonzero(song_differences(a, b))
    return Pair(*paired_test(a, b, queries), *difference_interval(a, b, queries, level), differing)
