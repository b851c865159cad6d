"""What hits say of songs that were not asked: intervals and paired tests whose unit of inference is the song.

The queries of a song overlap and share its difficulty, so many of them tell less than as many songs would. Songs are taken as
a random sample, and so are seeds, where a configuration was trained with several: both vary.
"""

from collections.abc import Sequence
from functools import cache
from math import comb

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr, stdtrit

LEVEL = 0.05  # significance level
NORMAL = ndtri(0.975)
FEWEST_FREEDOM = 3  # degrees of freedom of a design effect that one or two songs show
DIRECT = 2**22  # multiplications up to which a convolution is direct, so that tiny probabilities keep their digits


def songs_of(table: pd.DataFrame) -> tuple[tuple[str, ...], np.ndarray]:
    """The songs of a per-query table, sorted, and (rows,) the number of each row's."""
    songs = table["song"].astype("category").cat.remove_unused_categories().cat
    names = sorted(map(str, songs.categories))
    place = {name: number for number, name in enumerate(names)}
    return tuple(names), np.array([place[str(name)] for name in songs.categories])[songs.codes.to_numpy()]


def wilson_interval(rate: ArrayLike, n: ArrayLike, quantile: ArrayLike = NORMAL) -> tuple[np.ndarray, np.ndarray]:
    """Wilson score interval of a proportion: rates 0..1 and (effective) counts, arrays that broadcast -> (low, high), 0..1.

    ``quantile``: of the normal distribution, or of Student's where ``n`` rests on an estimated variance. NaN where ``n`` is 0.
    """
    rate, n, z2 = np.asarray(rate, float), np.asarray(n, float), np.square(quantile)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def clustered_interval(hits: np.ndarray, queries: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Interval of a hit rate over songs and seeds: hits (..., seeds, songs), queries of each song (songs,) -> (low, high), 0..1.

    Wilson's interval with an effective number of queries and Student's quantile (Franco et al., 2019, J. Surv. Stat. Methodol.
    7:334). It is Wilson's own for one query a song, and that of as many queries as songs where all hit, or none. With several
    seeds the variance between them is added, and the degrees of freedom are Satterthwaite's; with one, other seeds may differ
    by more than the interval says.
    """
    hits, queries = np.asarray(hits, float), np.asarray(queries, float)
    seeds, total = hits.shape[-2], queries.sum()
    of_songs = hits.mean(axis=-2)
    rate = of_songs.sum(axis=-1) / total
    effective, freedom = effective_queries(of_songs, queries)
    if seeds > 1:
        songs_vary = rate * (1 - rate) / effective
        seeds_vary = (hits.sum(axis=-1) / total).var(axis=-1, ddof=1) / seeds
        both = seeds_vary > 0  # so neither all hit nor none
        variance = np.where(both, songs_vary + seeds_vary, 1)
        effective = np.where(both, rate * (1 - rate) / variance, effective)
        uncertain = songs_vary**2 / freedom + seeds_vary**2 / (seeds - 1)
        freedom = np.where(both, variance**2 / np.where(both, uncertain, 1), freedom)
    return wilson_interval(rate, effective, stdtrit(freedom, 0.5 + level / 2))


def effective_queries(hits: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many independent queries the queries of these songs are worth, and the degrees of freedom of that estimate.

    ``hits``: (..., songs), ``queries``: (songs,) -> two arrays (...). The design effect, by which songs vary more than as many
    independent queries would, lies between 1 and that of songs whose queries all have one outcome. It is seen in the songs
    that differ from the others only: without any it is taken to be the largest, with few it is drawn towards that.
    """
    songs, total = len(queries), queries.sum()
    rate = hits.sum(axis=-1) / total
    excess = hits - rate[..., None] * queries
    variance = np.square(excess).sum(axis=-1) / total**2 * songs / max(songs - 1, 1)
    binomial = rate * (1 - rate) / total
    largest = np.square(queries).sum() / total
    known = (binomial > 0) & (songs > 1)
    effect = np.clip(np.where(known, variance / np.where(known, binomial, 1), largest), 1, largest)
    differing = np.minimum((hits > 0).sum(axis=-1), (hits < queries).sum(axis=-1))
    effect += (largest - effect) / (1 + differing) ** 2
    freedom = np.minimum(np.maximum(differing, FEWEST_FREEDOM), songs - 1.0)
    return total / effect, np.where(known & (differing > 0) & (largest > 1), freedom, np.inf)


def paired_test(a: np.ndarray, b: np.ndarray, queries: np.ndarray) -> tuple[float, int]:
    """Do two systems differ on the same queries? Hits (seeds, songs) of each, queries of each song -> (two-sided p, direction).

    p is that of `sign_flip_p` for the difference of the means over seeds. Where one has several seeds it is at least that of a
    t test whose variance is the songs' plus the seeds' (Satterthwaite's degrees of freedom), so that seeds that differ among
    themselves count; a side with one seed is taken to vary as the other's do. The direction is 1 (``a`` is better) or -1 where
    every seed lies on that side of the other system's mean, otherwise 0.
    """
    a, b = np.atleast_2d(a), np.atleast_2d(b)
    p = sign_flip_p(song_differences(a, b))
    seeds_a, seeds_b = (one.sum(axis=1) / queries.sum() for one in (a, b))
    signs = np.unique(np.sign([*(seeds_a - seeds_b.mean()), *(seeds_a.mean() - seeds_b)]))
    direction = int(signs[0]) if len(signs) == 1 else 0
    if len(a) == len(b) == 1:
        return p, direction
    return max(p, _seeds_and_songs_p(a, b, queries)), direction


def song_differences(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(songs,) whole numbers: mean hits of one system minus those of the other, each (seeds, songs), times a common multiple."""
    whole = np.lcm(len(a), len(b))
    return whole // len(a) * a.sum(axis=0) - whole // len(b) * b.sum(axis=0)


def fewest_differing(tests: int = 1) -> int:
    """How many songs must differ, at least, for ``tests`` times the p of `paired_test` to be below LEVEL: of n songs that differ
    p is 2^(1 - n), or more."""
    return int(np.log2(tests / LEVEL)) + 2


def difference_interval(
    a: np.ndarray, b: np.ndarray, queries: np.ndarray, level: float = 0.95
) -> tuple[float, float, float]:
    """How far two systems are apart on the same queries: hits (seeds, songs) of each -> (difference a - b, low, high), -1..1.

    Student's interval of the variance of `paired_test`; with one seed each, for these two trained models. NaN of one
    song, which does not show how songs vary, and where no song and no seed differs, which leaves nothing to judge by.
    """
    mean, variance, freedom = _difference(np.atleast_2d(a), np.atleast_2d(b), queries)
    known = variance > 0 and len(queries) > 1
    half = float(stdtrit(freedom, 0.5 + level / 2) * np.sqrt(variance)) if known else np.nan
    return mean, max(mean - half, -1.0), min(mean + half, 1.0)


def _seeds_and_songs_p(a: np.ndarray, b: np.ndarray, queries: np.ndarray) -> float:
    """Two-sided p of a t test of the difference of two means."""
    mean, variance, freedom = _difference(a, b, queries)
    if variance == 0:
        return float(mean == 0)
    return float(2 * stdtr(freedom, -abs(mean) / np.sqrt(variance)))


def _difference(a: np.ndarray, b: np.ndarray, queries: np.ndarray) -> tuple[float, float, float]:
    """The difference of two means, its variance over songs, which are the same, and over each one's seeds, and its freedom."""
    songs, total = len(queries), queries.sum()
    of_songs = a.mean(axis=0) - b.mean(axis=0)
    mean = of_songs.sum() / total
    parts = [(np.square(of_songs - mean * queries).sum() / total**2 * songs / max(songs - 1, 1), songs - 1)]
    parts += _seed_variances(*(one.sum(axis=1) / total for one in (a, b)))
    variance = float(sum(part for part, _ in parts))
    freedom = variance**2 / sum(part**2 / free for part, free in parts if part) if variance else np.inf
    return float(mean), variance, float(freedom)


def _seed_variances(a: np.ndarray, b: np.ndarray) -> list[tuple[float, int]]:
    """The variances over seeds of the means of two lists of rates (seeds,), and their freedom; none with one seed each.

    The seeds of one side alone estimate the variance of both: that of a side with one seed is not known, and not 0.
    """
    several = [one for one in (a, b) if len(one) > 1]
    if len(several) == 1:
        return [(several[0].var(ddof=1) * (1 / len(a) + 1 / len(b)), len(several[0]) - 1)]
    return [(one.var(ddof=1) / len(one), len(one) - 1) for one in several]


def sign_flip_p(differences: np.ndarray) -> float:
    """Two-sided p of a permutation test by song: whole numbers (songs,), hits of one system minus hits of the other.

    If the two were alike, each song's difference could as well have the other sign. The distribution of the sum over all
    2^songs choices of signs is computed, not sampled, so p is exact and the same every time. With one query a song it is
    McNemar's exact test.
    """
    differences = np.asarray(differences)
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    chance = np.ones(1)  # distribution of the sum of the sizes with a negative sign: entry s is the probability of s
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        step = np.zeros(size * count + 1)
        step[::size] = _coins(count)
        if len(chance) * len(step) <= DIRECT:
            chance = np.convolve(chance, step)
        else:
            from scipy.signal import fftconvolve  # seldom needed, and a second to import

            chance = fftconvolve(chance, step).clip(0)
    as_far = (len(chance) - 1 - abs(int(differences.sum()))) // 2
    return min(1.0, 2 * float(chance[: as_far + 1].sum()))


@cache
def _coins(count: int) -> np.ndarray:
    """(count + 1,) probabilities that so many of ``count`` coins show heads."""
    return np.array([comb(count, heads) / 2**count for heads in range(count + 1)])


def holm(p: Sequence[float] | pd.Series) -> pd.Series:
    """p values corrected for their number by Holm's method; NaN stays NaN and does not count."""
    p = pd.Series(p)
    known = p.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    return (known * factors).cummax().clip(upper=1).reindex(p.index)
