"""Open set: a search must also say "not in the database", and it is judged by how seldom it names a wrong song.

Each query is asked twice, once with its song in the database and once without it. The answer without it is the best candidate
that touches no segment of the song, of those that the search with it found. A score above a threshold is accepted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy.special import expit, stdtrit

from nafp.audio.segments import sequence_seconds
from nafp.evaluation.cell import read_table
from nafp.evaluation.statistics import FEWEST_FREEDOM, clustered_interval, songs_of

FALSE_ACCEPTS = 0.01  # share of the queries whose song is not in the database
COLUMNS = ["song", "length", "top1_song", "score1", "other_score"]
RESAMPLES = 1000
TAIL = 32  # highest scores looked at first


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


def mean_hit_rates(seeds: Sequence[Scores], shares: np.ndarray) -> np.ndarray:
    """The mean of `hit_rates` over some seeds."""
    return np.mean([hit_rates(one, shares) for one in seeds], axis=0)


def of_length(tables: Sequence[Path], seconds: float) -> list[Scores]:
    """The scores of the per-query tables of some seeds, for queries of one length."""
    return [scores for path in tables for length, scores in by_length(path) if sequence_seconds(length) == seconds]


def by_length(path: Path) -> list[tuple[int, Scores]]:
    """The scores of a per-query table, length by length; UserError if it is damaged."""
    table = read_table(path, COLUMNS)
    song = songs_of(table)[1]
    right = np.where(table["top1_song"], table["score1"], -np.inf)
    others, length = _known(table["other_score"].to_numpy()), table["length"].to_numpy()
    rows = [(int(one), length == one) for one in dict.fromkeys(length.tolist())]
    return [(one, Scores(right[some], others[some], song[some])) for one, some in rows]


def _known(scores: np.ndarray) -> np.ndarray:
    return np.nan_to_num(scores.astype(np.float32), nan=-np.inf, neginf=-np.inf)


def intervals(tables: Sequence[Path], level: float = 0.95) -> np.ndarray:
    """The `interval` at FALSE_ACCEPTS for each query length: (lengths, 2).

    ``tables``: per-query tables of seeds that were asked the same. UserError for a damaged one.
    """
    seeds, shares = [by_length(path) for path in tables], np.array([FALSE_ACCEPTS])
    return np.array([interval([one for _, one in same], shares, level)[:, 0] for same in zip(*seeds, strict=True)])


def interval(seeds: Sequence[Scores], shares: np.ndarray, level: float = 0.95, seed: int = 0) -> np.ndarray:
    """Interval (0..1) of the mean hit rate of some seeds, asked the same, at shares of false accepts: (2, shares), low and high.

    It holds that of songs and seeds at this threshold, and that of the threshold, which is uncertain: songs are drawn with
    replacement, all queries of each, and the threshold is set anew in every sample. The latter is Student's on the scale of log
    odds, with one degree of freedom less than there are songs that reach the threshold: it rests on those.
    """
    rates, n = mean_hit_rates(seeds, shares), len(seeds[0].right)
    sampled = np.mean([_rates(one, shares, seed) for one in seeds], axis=0)
    thresholds = [threshold(one.others, shares) for one in seeds]
    pairs = list(zip(seeds, thresholds, strict=True))
    reached = [[len(np.unique(one.song[one.others >= at])) for at in places] for one, places in pairs]

    def log_odds(p: np.ndarray) -> np.ndarray:
        return np.log(p * n + 0.5) - np.log((1 - p) * n + 0.5)

    freedom = np.maximum(np.min(reached, axis=0) - 1, FEWEST_FREEDOM)
    half = stdtrit(freedom, 0.5 + level / 2) * log_odds(sampled).std(axis=0, ddof=1)
    low, high = expit(log_odds(rates) + [-half, half])
    hits = [[np.bincount(one.song, weights=one.right > at) for at in places] for one, places in pairs]
    lowest, highest = clustered_interval(np.stack(hits, axis=1), np.bincount(seeds[0].song), level)
    # the half queries move the ends of 0 and of 1
    return np.stack([np.minimum.reduce([low, lowest, rates]), np.maximum.reduce([high, highest, rates])])


@cache
def _drawn(songs: int, seed: int) -> np.ndarray:
    """(RESAMPLES, songs): how often each sample has each song."""
    return np.random.default_rng(seed).multinomial(songs, np.full(songs, 1 / songs), size=RESAMPLES).astype(np.int32)


def _rates(scores: Scores, shares: np.ndarray, seed: int) -> np.ndarray:
    """(RESAMPLES, shares) shares of right answers that are above the thresholds of each sample of songs."""
    right, others, song = scores.right, scores.others, scores.song
    drawn = _drawn(song.max() + 1, seed)
    total = (drawn @ np.bincount(song))[:, None]
    rank = np.clip(np.floor(shares * (total + 1) + 1e-9), 1, total)
    falling, count = np.argsort(-others, kind="stable"), TAIL
    while True:  # the thresholds lie in the tail, except in a sample that has few of its songs
        passed = np.cumsum(drawn[:, song[falling[:count]]], axis=1)
        if count >= len(song) or (passed[:, -1:] >= rank).all():
            break
        count *= 2
    row = np.arange(RESAMPLES)[:, None]
    apart = row * (total.max() + 1)  # between the rows, so that one search finds the places in all of them
    places = np.searchsorted((passed + apart).ravel(), rank + apart) - row * passed.shape[1]
    thresholds, which = np.unique(others[falling[places]], return_inverse=True)
    below = np.searchsorted(thresholds, right)  # how many of the thresholds a right answer passes
    passing = np.bincount(song * (len(thresholds) + 1) + below, minlength=drawn.shape[1] * (len(thresholds) + 1))
    above = passing.reshape(drawn.shape[1], -1)[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]  # (songs, thresholds)
    passed_by = drawn.astype(float) @ above  # numbers of queries, so exact
    return np.take_along_axis(passed_by, which.reshape(places.shape), axis=1) / total
