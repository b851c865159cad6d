"""Extreme values: how often the right place would win against more distractor songs than there are.

Peaks over a threshold (Coles 2001, An Introduction to Statistical Modeling of Extreme Values, chapter 4): a query's threshold
is the score of its (k + 1)-th best distractor song; above it the scores of songs follow a generalised Pareto distribution,
whose scale is the query's own and whose shape all queries share. Songs better than the right place are then expected at a
known rate, and the chance of none among n songs follows (the tail estimate of Weissman 1978, J. Am. Stat. Assoc. 73:812, for any
shape).

The shape is estimated by probability-weighted moments (Hosking and Wallis 1987, Technometrics 29:339), summed over queries:
they are linear, so the few exceedances of a query bias nothing, whereas the maximum likelihood of a shared shape with a
scale for each query stays biased however many queries there are (Neyman and Scott 1948). Scales are shrunk to their common
mean as far as they vary by chance (empirical Bayes), and the hit rate is averaged over what remains unknown of each scale and
each rate, since plugging in single values would be too sure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

EXTREMES, TREND, GENERATED = "extreme values", "trend", "generated songs"  # methods of `nafp.evaluation.extrapolation`
PREDICTED, CHECKED = "prediction", "hold-out"
NODES = (np.arange(12) + 0.5) / 12  # quantiles by which the unknown scale of a query is averaged over
STEEPEST, HEAVIEST = -5.0, 0.45  # bounds of the shape; moments do not exist from 0.5 on
FEWEST = 2  # exceedances of a query from which the moments can be estimated
EXPONENTIAL = 1e-6  # shapes below this are that of an exponential tail
SAME = 1e-4  # squared relative spread of the scales that counts as none


@dataclass(frozen=True)
class Peaks:
    """Scores of q queries against their distractor songs.

    ``right``: (q,) of the right place, NaN if it has none; ``first``: (q,) whether it is better than all other places of its
    song; ``beaten``: (q,) distractor songs that are at least as good; ``songs``: (q,) m, how many there are; ``top``: (q, k + 1)
    scores of the best ones, descending, and ``song``: (q, k + 1) their numbers.
    """

    right: np.ndarray
    first: np.ndarray
    beaten: np.ndarray
    songs: np.ndarray
    top: np.ndarray
    song: np.ndarray

    @property
    def exceedances(self) -> np.ndarray:
        """(q, k) how far the best songs are above the threshold, descending."""
        return self.top[:, :-1].astype(float) - self.top[:, -1:]

    @property
    def hits(self) -> np.ndarray:
        """(q,) whether the right place wins against all m songs."""
        return self.first & (self.beaten == 0)


@dataclass(frozen=True)
class Tails:
    """Fitted tails of q queries: the ``shape`` that they share, nodes of each ``scale`` (q, nodes), and ``rate`` (q,), the songs
    out of m expected above the threshold."""

    shape: float
    scale: np.ndarray
    rate: np.ndarray

    def survival(self, above: np.ndarray, queries: np.ndarray) -> np.ndarray:
        """Shares (n, nodes) of the songs above the threshold that are also above the scores ``above`` (n,) it, of n queries."""
        z = above[:, None] / self.scale[queries]
        if abs(self.shape) < EXPONENTIAL:
            return np.exp(-z)
        with np.errstate(divide="ignore"):
            return np.exp(-np.log(np.maximum(1 + self.shape * z, 0)) / self.shape)


def fit_tails(peaks: Peaks, of_query: np.ndarray, of_song: np.ndarray) -> Tails:
    """Fit the tails with weights of queries (q,) and of songs (numbers,), 1 on average each."""
    y, weight = peaks.exceedances, of_song[peaks.song[:, :-1]]
    total = weight.sum(axis=1)
    larger = np.cumsum(weight, axis=1) - weight
    mean = (weight * y).sum(axis=1) / total
    tilted = (weight * y * larger / (total[:, None] - weight)).sum(axis=1) / total
    a0, a1 = of_query @ mean, of_query @ tilted
    shape = 2 - a0 / (a0 - 2 * a1) if a0 > 2 * a1 else STEEPEST
    shape = float(np.clip(shape, STEEPEST, HEAVIEST))
    known = (1 - 2 * shape) * float(np.mean(total**2 / np.square(weight).sum(axis=1)))
    scale = shrunken(np.maximum((1 - shape) * mean, np.finfo(np.float32).tiny), of_query, known)
    return Tails(shape, scale, total)


def shrunken(scale: np.ndarray, of_query: np.ndarray, known: float) -> np.ndarray:
    """Estimated scales (q,) -> nodes (q, nodes) of each scale's distribution given its estimate.

    An estimate is the scale times a gamma variable of mean 1 and shape ``known``; scales are inverse gamma, with the mean and
    spread that the estimates show.
    """
    mean = np.average(scale, weights=of_query)
    variance = np.average(np.square(scale - mean), weights=of_query)
    spread = max((variance / mean**2 - 1 / known) / (1 + 1 / known), SAME)
    prior = 2 + 1 / spread
    of_gamma = gammaincinv(prior + known, NODES)
    return ((prior - 1) * mean + known * scale)[:, None] / of_gamma


def hit_chances(peaks: Peaks, tails: Tails, numbers: Sequence[float]) -> np.ndarray:
    """(q, sizes) chances that the right place still wins when the distractor songs have become so many, ``numbers`` (sizes,).

    The m that are there are counted, only those that join them are extrapolated. How many of m songs to expect above the
    threshold is unknown, too: gamma of shape k + 1, so that a threshold alone would survive m new songs with a chance of
    2^-(k + 1), as it must.
    """
    k, above = peaks.top.shape[1] - 1, peaks.right - peaks.top[:, -1]
    winners = np.flatnonzero(peaks.hits)
    expected = tails.survival(above[winners], winners) * (tails.rate[winners] / k)[:, None]
    chance = np.zeros((len(above), len(numbers)))
    for at, number in enumerate(numbers):
        factor = np.maximum(number / peaks.songs[winners] - 1, 0)[:, None]
        chance[winners, at] = np.exp(-(k + 1) * np.log1p(factor * expected)).mean(axis=1)
    return chance
