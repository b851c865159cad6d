"""Open set: a search must also say "not in the database", and it is judged by how seldom it names a wrong song.

Each query is asked twice, once with its song in the database and once without it. The answer without it is the best candidate
that touches no segment of the song, of those that the search with it found. A score above a threshold is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, stdtrit

from nafp.evaluation.statistics import FEWEST_FREEDOM, songs_of
from nafp.files import damaged_file_errors

FALSE_ACCEPTS = 0.01  # share of the queries whose song is not in the database
COLUMNS = ["song", "length", "top1_song", "score1", "other_score"]
RESAMPLES = 1000
TAIL = 128  # highest scores looked at first


def accepted(scores: np.ndarray, other_scores: np.ndarray) -> np.ndarray:
    """(n,) booleans: which best scores pass the `threshold` at FALSE_ACCEPTS of (n,) scores without the query's song."""
    return scores.astype(np.float32) > threshold(_known(other_scores))


def threshold(other_scores: np.ndarray, shares: float | np.ndarray = FALSE_ACCEPTS) -> np.ndarray:
    """The score that another query without its song passes with at most these probabilities (0..1), from (n,) such scores.

    The k-th highest of n scores is passed with probability k / (n + 1) (Vovk et al., 2005, conformal prediction); with too few
    scores for a share it is the highest.
    """
    rank = np.floor(np.asarray(shares) * (len(other_scores) + 1) + 1e-9).astype(int)
    return np.sort(other_scores)[::-1][np.clip(rank, 1, len(other_scores)) - 1]


@dataclass(frozen=True)
class Scores:
    """Of queries of one length: ``right`` (n,) scores of the answers with the right song, -inf for the others; ``others`` (n,)
    scores of the answers without the query's song, -inf where there is none; ``song`` (n,) numbers of their songs."""

    right: np.ndarray
    others: np.ndarray
    song: np.ndarray


def hit_rates(scores: Scores, shares: float | np.ndarray) -> np.ndarray:
    """The share of right songs accepted at each share of false accepts."""
    return 1 - np.searchsorted(np.sort(scores.right), threshold(scores.others, shares), "right") / len(scores.right)


def mean_hit_rates(tables: Sequence[Path], seconds: float, shares: np.ndarray) -> np.ndarray:
    """The mean of `hit_rates` over the per-query tables of some seeds, for queries of one length."""
    chosen = [scores for path in tables for length, scores in by_length(path) if (length + 1) / 2 == seconds]
    return np.mean([hit_rates(scores, shares) for scores in chosen], axis=0)


def by_length(path: Path) -> list[tuple[int, Scores]]:
    """The scores of a per-query table, length by length; UserError if it is damaged."""
    with damaged_file_errors(path):
        table = pd.read_parquet(path, columns=COLUMNS)
    song = songs_of(table)[1]
    right = np.where(table["top1_song"], table["score1"], -np.inf)
    others, length = _known(table["other_score"].to_numpy()), table["length"].to_numpy()
    rows = [(int(one), length == one) for one in dict.fromkeys(length.tolist())]
    return [(one, Scores(right[some], others[some], song[some])) for one, some in rows]


def _known(scores: np.ndarray) -> np.ndarray:
    return np.nan_to_num(scores.astype(np.float32), nan=-np.inf, neginf=-np.inf)


def intervals(tables: Sequence[Path], seed: int = 0, level: float = 0.95) -> np.ndarray:
    """Interval (0..1) of the mean hit rate of some seeds at FALSE_ACCEPTS, the threshold being uncertain: (lengths, 2).

    ``tables``: per-query tables of seeds that were asked the same. Songs are drawn with replacement, all queries of each, and
    the threshold is set anew in every sample. The interval is Student's on the scale of log odds, with one degree of freedom
    less than there are songs that reach the threshold: it rests on those. UserError for a damaged table.
    """
    seeds = [by_length(path) for path in tables]
    return np.array([_interval([scores for _, scores in same], seed, level) for same in zip(*seeds, strict=True)])


def _interval(seeds: Sequence[Scores], seed: int, level: float) -> tuple[float, float]:
    rates, n = [hit_rates(one, FALSE_ACCEPTS) for one in seeds], len(seeds[0].right)
    sampled = [_rates(one.right, one.others, one.song, seed) for one in seeds]
    reached = [len(np.unique(one.song[one.others >= threshold(one.others)])) for one in seeds]

    def log_odds(p: np.ndarray) -> np.ndarray:
        return np.log(p * n + 0.5) - np.log((1 - p) * n + 0.5)

    freedom, rate = max(min(reached) - 1, FEWEST_FREEDOM), np.mean(rates)
    half = stdtrit(freedom, 0.5 + level / 2) * log_odds(np.mean(sampled, axis=0)).std(ddof=1)
    low, high = expit(log_odds(rate) + [-half, half])
    return min(low, rate), max(high, rate)  # the half queries move the ends of 0 and of 1


@cache
def _drawn(songs: int, seed: int) -> np.ndarray:
    """(RESAMPLES, songs): how often each sample has each song."""
    return np.random.default_rng(seed).multinomial(songs, np.full(songs, 1 / songs), size=RESAMPLES).astype(np.int32)


def _rates(right: np.ndarray, others: np.ndarray, song: np.ndarray, seed: int) -> np.ndarray:
    """(RESAMPLES,) shares of right answers that are above the threshold of each sample of songs."""
    drawn = _drawn(song.max() + 1, seed)
    total = drawn @ np.bincount(song)
    rank = np.maximum(np.floor(FALSE_ACCEPTS * (total + 1) + 1e-9), 1)[:, None]
    falling, count = np.argsort(-others, kind="stable"), TAIL
    while True:  # the threshold lies in the tail, except in a sample that has few of its songs
        passed = np.cumsum(drawn[:, song[falling[:count]]], axis=1)
        if count >= len(song) or (passed[:, -1:] >= rank).all():
            break
        count *= 2
    thresholds, which = np.unique(others[falling[np.argmax(passed >= rank, axis=1)]], return_inverse=True)
    below = np.searchsorted(thresholds, right)  # how many of the thresholds a right answer passes
    passing = np.bincount(song * (len(thresholds) + 1) + below, minlength=drawn.shape[1] * (len(thresholds) + 1))
    above = passing.reshape(drawn.shape[1], -1)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # (songs, thresholds)
    return (drawn * above.T[which]).sum(axis=1) / total
