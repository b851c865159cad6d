"""Which answers are hits: places in the database, held against the right ones, query by query.

A tie is no hit: among equal scores the wrong places come first, and what is said of the best place must hold for all that share
its score; if all kept places do, there may be more. Neither is a NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.evaluation import openset
from nafp.evaluation.metrics import METRICS
from nafp.search.result import Result

RANKS = 10  # the largest rank that is judged, and the answers of a query that its table has


@dataclass(frozen=True)
class Judged:
    """Answers (see `Result`), the right rows, ``truth`` (q,), and the song of each row of the database, ``songs`` (rows,).

    ``near_across_songs``: see `nafp.evaluation.protocol`.
    """

    place: np.ndarray
    score: np.ndarray
    other_score: np.ndarray
    truth: np.ndarray
    songs: np.ndarray
    near_across_songs: bool = False

    @classmethod
    def of(cls, answers: Result, truth: np.ndarray, songs: np.ndarray, near_across_songs: bool = False) -> "Judged":
        return cls(answers.place, answers.score, answers.other_score, truth, songs, near_across_songs)

    @cached_property
    def rank(self) -> np.ndarray:
        """(q,) ranks of the right place, see `rank_of_truth`; inf beyond RANKS, though one place more is kept: it shows whether
        the last one that is judged is tied."""
        rank = rank_of_truth(self.place, self.score, self.truth)
        return np.where(rank <= RANKS, rank, np.inf)

    @cached_property
    def beside(self) -> np.ndarray:
        """(q, kept) booleans: which places are at most one segment from the right one."""
        return (np.abs(self.place - self.truth[:, None]) <= 1) & (self.in_song | self.near_across_songs)

    @cached_property
    def in_song(self) -> np.ndarray:
        """(q, kept) booleans: which places are in the right song."""
        return self.songs[self.place] == self.songs[self.truth][:, None]

    @cached_property
    def accepted(self) -> np.ndarray:
        """(q,) booleans: whose best score is accepted in the open set."""
        return openset.accepted(self.score[:, 0], self.other_score)

    def first(self, right: np.ndarray) -> np.ndarray:
        """(q, kept) booleans -> (q,): true of the best place, and of all that share its score."""
        best = (self.score == self.score[:, :1]) & (self.place >= 0)
        return best[:, 0] & ~best[:, 1:].all(axis=1) & (right | ~best).all(axis=1)

    @cached_property
    def offset_ms(self) -> np.ndarray:
        """(q,) milliseconds between the best place and the right one; NaN where the right song is no hit."""
        error = offset_error_ms(self.place, self.truth, self.songs)
        return np.where(METRICS["song"].hits(self), error, np.nan)


def hits(judged: Judged) -> dict[str, np.ndarray]:
    """The hits of every metric, by its column: (q,) booleans."""
    return {metric.column: metric.hits(judged) for metric in METRICS.values()}


def rank_of_truth(place: np.ndarray, score: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(q, kept) places and scores, (q,) right places -> (q,) ranks of the right place, inf where it has none.

    Of places with one score the right one comes last, and counts once; if they reach the last kept place, there may be more
    of them, so it has no rank.
    """
    right = (place == truth[:, None]) & ~np.isnan(score)
    own = np.where(right, score, -np.inf).max(axis=1, keepdims=True)
    equal = score == own
    endless = equal[:, -1] & (equal.sum(axis=1) > 1)
    return np.where(right.any(axis=1) & ~endless, 1 + ((score >= own) & ~right).sum(axis=1), np.inf)


def offset_error_ms(place: np.ndarray, truth: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """(q,) milliseconds between the best place and the right one in the right song; NaN in another song."""
    same = (place[:, 0] >= 0) & (songs[place[:, 0]] == songs[truth])
    return np.where(same, np.abs(place[:, 0] - truth) * HOP / SAMPLE_RATE * 1e3, np.nan)


def first_and_last_rows(songs: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row of the database, (q,) each, of the chosen (q,) songs; ``songs``: (rows,) of each row."""
    return np.searchsorted(songs, chosen), np.searchsorted(songs, chosen, "right") - 1


def per_query_table(
    answers: Sequence[Result],
    starts: np.ndarray,
    truth: np.ndarray,
    songs: np.ndarray,
    names: Sequence[str],
    moved: Mapping[str, np.ndarray] | None = None,
    placed: bool = True,
    near_across_songs: bool = False,
) -> pd.DataFrame:
    """One row a query and length, from which everything that is said of the answers can be counted again.

    ``songs``: (rows,) the song of each row of the database, ``names`` (songs,) theirs. ``moved``: "start" and "rate" (q,) of
    queries that are faster or slower than their songs, or parts of them (`nafp.evaluation.asked`). ``placed``: whether it is
    known where in their songs the queries are; if not, none is a hit of a metric that asks for the place.
    ``near_across_songs``: of the protocol. Columns: query (segment), song, start (seconds into it), rate if there are any, length
    (segments), truth (row), the hits of METRICS, rr (reciprocal rank), offset_ms, the best RANKS places and scores, next_score
    (behind them, perhaps tied with the last one), and the best place and score of another song.
    """
    asked = songs[truth]
    of_query = {
        "query": starts,
        "song": pd.Categorical(np.asarray(names, object)[asked]),
        "start": (truth - first_and_last_rows(songs, asked)[0]) * HOP / SAMPLE_RATE,
        **(moved or {}),
    }
    tables = []
    for one in answers:
        judged, kept = Judged.of(one, truth, songs, near_across_songs), range(min(one.place.shape[1], RANKS))
        columns = {**of_query, "length": one.length, "truth": truth, **hits(judged)}
        columns |= {"rr": 1 / judged.rank, "offset_ms": judged.offset_ms}
        if not placed:
            columns |= {metric.column: False for metric in METRICS.values() if metric.of_place}
            columns |= {"rr": np.nan, "offset_ms": np.nan}
        columns |= {f"place{i + 1}": one.place[:, i] for i in kept}
        columns |= {f"score{i + 1}": one.score[:, i].astype(np.float32) for i in kept}
        columns |= {"next_score": one.score[:, RANKS:].max(axis=1, initial=-np.inf).astype(np.float32)}
        columns |= {"other_place": one.other_place, "other_score": one.other_score.astype(np.float32)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)
