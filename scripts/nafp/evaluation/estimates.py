"""Estimates of the hit rate against more songs, by each method, with the same resamples of songs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaln

from nafp.evaluation.extremes import EXTREMES, GENERATED, TREND, Peaks, fit_tails, hit_chances
from nafp.evaluation.scale import fit_trend, song_weights
from nafp.evaluation.song_scores import Kept

RESAMPLES = 200  # resamples of the songs of queries and of distractors


@dataclass(frozen=True)
class Plan:
    """What to extrapolate: to databases of so many ``segments``, by ``tail`` distractor songs of each query at most.

    The check is fitted to each of ``parts`` random parts of the songs, a ``share`` of them each. ``fractions``: of the songs, the
    sizes that the trend is fitted to. ``generated``: segments of generated songs.
    """

    segments: Sequence[float]
    tail: int
    share: float
    parts: int
    fractions: Sequence[float]
    generated: float = 0
    seed: int = 0


@dataclass(frozen=True)
class Sizes:
    """A database of ``songs`` songs and ``rows`` segments; larger ones have songs as long on average."""

    songs: int
    rows: int

    @property
    def rows_a_song(self) -> int:
        """Segments of a generated song."""
        return round(self.rows / self.songs)

    def segments(self, distractors: np.ndarray | float) -> np.ndarray:
        """Segments of a database with so many distractor songs beside a query's own."""
        return (np.asarray(distractors, float) + 1) * self.rows / self.songs

    def distractors(self, segments: np.ndarray | Sequence[float]) -> np.ndarray:
        """Songs besides a query's own in a database of so many segments."""
        return np.asarray(segments, float) * self.songs / self.rows - 1


@dataclass(frozen=True)
class Estimate:
    """Hit rates from 0 to 1, (1 + RESAMPLES, sizes): of all songs, then of the resamples; ``shape``: of the tails, likewise."""

    rates: np.ndarray
    shape: np.ndarray | None = None


def by_extremes(peaks: Peaks, songs: np.ndarray, numbers: np.ndarray, seed: int) -> Estimate:
    """Rates with so many distractor songs, ``numbers`` (sizes,). ``songs``: (q,) the song of each query.

    Each resample weighs songs of queries and songs of distractors anew (Bayesian bootstrap of both) and fits all tails again. As
    in `fit_trend`, two halves of a song keep the bounds apart where all queries hit.
    """
    weights, rng = song_weights(songs.max() + 1, seed)[:RESAMPLES], np.random.default_rng([seed, 1])
    evenly, average = np.ones(peaks.song.max() + 1), len(songs) / (songs.max() + 1)
    tails = fit_tails(peaks, np.ones(len(songs)), evenly)
    rates, shapes = [hit_chances(peaks, tails, numbers).mean(axis=0)], [tails.shape]
    for *of_songs, hits, misses in weights:
        of_query, of_distractor = np.array(of_songs)[songs], rng.standard_exponential(len(evenly))
        tails = fit_tails(peaks, of_query / of_query.mean(), of_distractor)
        found = of_query @ hit_chances(peaks, tails, numbers) + hits * average
        rates.append(found / (of_query.sum() + (hits + misses) * average))
        shapes.append(tails.shape)
    return Estimate(np.array(rates), np.array(shapes))


def by_trend(peaks: Peaks, songs: np.ndarray, numbers: np.ndarray, sizes: Sizes, plan: Plan) -> Estimate | None:
    """The same by a line through the rates that fractions of the distractor songs have on average; None without two sizes."""
    parts = np.unique(np.clip(np.round(np.array(plan.fractions) * peaks.songs.min()), 1, None))
    if len(parts) < 2:
        return None
    chances = peaks.first[:, None] * none_among(peaks.beaten[:, None], peaks.songs[:, None], parts)
    trend = fit_trend(sizes.segments(parts), by_song(chances, songs), np.bincount(songs).astype(float), plan.seed)
    return Estimate(replace(trend, lines=trend.lines[: RESAMPLES + 1]).rates(sizes.segments(numbers)))


def by_generator(peaks: Peaks, drawn: Kept, songs: np.ndarray, numbers: np.ndarray, seed: int) -> Estimate:
    """The same by searching generated songs beside those that are there; NaN for more than were generated."""
    count, more = len(drawn.chosen), np.maximum(numbers - peaks.songs[:, None], 0)
    chances = peaks.hits[:, None] * none_among(drawn.beaten[:, None], np.array([[count]]), np.minimum(more, count))
    chances[:, (more > count + 1).any(axis=0)] = np.nan
    return Estimate(weighted(chances, songs, seed))


def none_among(beaten: np.ndarray, songs: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Chance that a random part of the songs has none of the ``beaten`` ones among it (hypergeometric); arrays broadcast."""
    left = songs - beaten - part
    ways = gammaln(songs - beaten + 1) + gammaln(songs - part + 1) - gammaln(songs + 1)
    return np.where(left < 0, 0.0, np.exp(ways - gammaln(np.maximum(left, 0) + 1)))


def by_song(values: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """Sums (songs, ...) of values (q, ...) over the queries of each song."""
    sums = np.zeros((songs.max() + 1, *values.shape[1:]))
    np.add.at(sums, songs, values)
    return sums


def weighted(chances: np.ndarray, songs: np.ndarray, seed: int) -> np.ndarray:
    """(1 + RESAMPLES, sizes) rates of chances (q, sizes) of hits, with the weights of the other estimates."""
    found, queries = by_song(chances, songs), np.bincount(songs)
    weights, average = song_weights(len(queries), seed)[:RESAMPLES], queries.mean()
    ends = np.repeat([[average], [0.0]], chances.shape[1], axis=1)
    resampled = weights @ np.vstack([found, ends]) / (weights @ [*queries, average, average])[:, None]
    return np.vstack([chances.mean(axis=0), resampled])


def measured(peaks: Peaks, songs: np.ndarray, seed: int) -> np.ndarray:
    """(1 + RESAMPLES,) hit rates against all these distractor songs."""
    return weighted(peaks.hits[:, None].astype(float), songs, seed)[:, 0]


def estimates(
    peaks: Peaks, drawn: Kept | None, songs: np.ndarray, numbers: np.ndarray, sizes: Sizes, plan: Plan
) -> dict[str, Estimate]:
    """Method -> its estimate for so many distractor songs."""
    found = {
        EXTREMES: by_extremes(peaks, songs, numbers, plan.seed),
        TREND: by_trend(peaks, songs, numbers, sizes, plan),
        GENERATED: by_generator(peaks, drawn, songs, numbers, plan.seed) if drawn else None,
    }
    return {method: estimate for method, estimate in found.items() if estimate}
