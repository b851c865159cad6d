"""Hit rates in databases larger than the data: two extrapolations side by side, each checked on data that it was not shown.

``extreme values`` (`nafp.evaluation.extremes`) follows each query's best distractor songs into the tail; ``trend``
(`nafp.evaluation.scale.fit_trend`) is a straight line of log odds over the size. Both count the same exact scores
(`nafp.evaluation.song_scores`). The check: fit with a random share of the distractor songs, predict for all of them, compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import gammaln

from nafp.evaluation.extremes import CHECKED, EXTREMES, FEWEST, PREDICTED, TREND, Peaks, fit_tails, hit_chances
from nafp.evaluation.protocol import Protocol
from nafp.evaluation.scale import fit_trend, song_weights
from nafp.evaluation.song_scores import TIE, Kept, Sequences, score_other_songs, score_own_songs
from nafp.search.vectors import Database

RESAMPLES = 200  # of songs, of queries and of distractors
TAIL = 4  # the tail is at most one in so many songs
FEWEST_SONGS = FEWEST * TAIL
COLUMNS = [
    *("kind", "method", "length", "part", "fitted_songs", "songs", "segments", "hit_rate_pct", "low_pct"),
    *(
        "high_pct",
        "measured_pct",
        "difference",
        "difference_low",
        "difference_high",
        "shape",
        "shape_low",
        "shape_high",
    ),
    *("queries", "query_songs"),
]


@dataclass(frozen=True)
class Plan:
    """What to extrapolate: to databases of so many ``segments``, by ``tail`` distractor songs of each query at most.

    The check is fitted to each of ``parts`` random parts of the songs, a ``share`` of them each. ``fractions``: of the songs, the
    sizes that the trend is fitted to.
    """

    segments: Sequence[float]
    tail: int
    share: float
    parts: int
    fractions: Sequence[float]
    seed: int = 0


@dataclass(frozen=True)
class Sizes:
    """A database of ``songs`` songs and ``rows`` segments; larger ones have songs as long on average."""

    songs: int
    rows: int

    def segments(self, distractors: np.ndarray | float) -> np.ndarray:
        """Segments of a database with so many distractor songs beside a query's own."""
        return (np.asarray(distractors, float) + 1) * self.rows / self.songs

    def distractors(self, segments: np.ndarray | Sequence[float]) -> np.ndarray:
        """Songs besides a query's own in a database of so many segments."""
        return np.asarray(segments, float) * self.songs / self.rows - 1


def extrapolate(
    database: Database,
    songs: np.ndarray,
    query: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    protocol: Protocol,
    plan: Plan,
) -> pd.DataFrame:
    """Predictions and their checks, one row a method, length, size and part: COLUMNS, rates in percent, differences in points.

    ``songs``: (rows,) the song of each row of the database, ascending from 0; ``starts``: (q,) rows of ``query`` (n, d) and, as
    right places, of ``database.db``. Intervals are 95 %, over songs of queries and, for extreme values, of distractors. No rows
    with fewer than FEWEST_SONGS distractor songs; no checks where a part would have fewer.
    """
    sizes = Sizes(int(songs[-1]) + 1, len(database))
    asked = Sequences(np.ascontiguousarray(query, np.float32), starts, sorted(lengths))
    of_db = songs[len(database.dummy) :]
    of_own = score_own_songs(asked, database.db, of_db, protocol)
    right = {n: scores for n, (scores, _) in of_own.items()}
    chosen = [np.ones(sizes.songs, bool), *random_parts(sizes.songs, plan)]
    kept = score_other_songs(asked, database, songs, right, chosen, min(plan.tail, sizes.songs // TAIL) + 1)
    _, of_query = np.unique(of_db[starts], return_inverse=True)
    rows = []
    for n in asked.lengths:
        whole, *parts = (peaks_of(one, *of_own[n], of_db[starts], plan.tail) for one in kept[n])
        rows += [row | {"length": n} for row in predicted(whole, of_query, sizes, plan)]
        for number, part in enumerate(parts, start=1):
            rows += [row | {"length": n, "part": number} for row in checked(part, whole, of_query, sizes, plan)]
    facts = {"queries": len(starts), "query_songs": of_query.max() + 1}
    return pd.DataFrame(rows, columns=COLUMNS).assign(**facts)


def random_parts(songs: int, plan: Plan) -> list[np.ndarray]:
    """The parts that the check is fitted to, (songs,) booleans each; none if they would be too small."""
    rng, size = np.random.default_rng(plan.seed), round(plan.share * songs)
    if size <= FEWEST_SONGS:
        return []
    return [np.isin(np.arange(songs), rng.choice(songs, size, replace=False)) for _ in range(plan.parts)]


def peaks_of(kept: Kept, right: np.ndarray, wrong: np.ndarray, own: np.ndarray, tail: int) -> Peaks | None:
    """The scores of one length for the tail model, None if too few songs are as long as a query.

    ``right``, ``wrong``: as from `score_own_songs`; ``own``: (q,) the queries' songs. A right place that ties with another one
    of its song is no hit, and neither is one without a score (NaN).
    """
    songs = kept.chosen.sum() - kept.chosen[own]
    scored = int(np.isfinite(kept.top).sum(axis=1).min())
    k = min(tail, int(songs.min()) // TAIL, scored - 1)
    if k < FEWEST:
        return None
    return Peaks(right, right > wrong + TIE, kept.beaten, songs, kept.top[:, : k + 1], kept.song[:, : k + 1])


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
    trend = fit_trend(sizes.segments(parts), _by_song(chances, songs), np.bincount(songs).astype(float), plan.seed)
    return Estimate(replace(trend, lines=trend.lines[: RESAMPLES + 1]).rates(sizes.segments(numbers)))


def none_among(beaten: np.ndarray, songs: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Chance that a random part of the songs has none of the ``beaten`` ones among it (hypergeometric); arrays broadcast."""
    left = songs - beaten - part
    ways = gammaln(songs - beaten + 1) + gammaln(songs - part + 1) - gammaln(songs + 1)
    return np.where(left < 0, 0.0, np.exp(ways - gammaln(np.maximum(left, 0) + 1)))


def _by_song(values: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """Sums (songs, ...) of values (q, ...) over the queries of each song."""
    sums = np.zeros((songs.max() + 1, *values.shape[1:]))
    np.add.at(sums, songs, values)
    return sums


def measured(peaks: Peaks, songs: np.ndarray, seed: int) -> np.ndarray:
    """(1 + RESAMPLES,) hit rates against all these distractor songs, with the weights of the estimates."""
    found, queries = _by_song(peaks.hits.astype(float), songs), np.bincount(songs)
    weights, average = song_weights(len(queries), seed)[:RESAMPLES], queries.mean()
    resampled = weights @ [*found, average, 0] / (weights @ [*queries, average, average])
    return np.append(peaks.hits.mean(), resampled)


def estimates(peaks: Peaks, songs: np.ndarray, numbers: np.ndarray, sizes: Sizes, plan: Plan) -> dict[str, Estimate]:
    """Method -> its estimate for so many distractor songs."""
    trend = by_trend(peaks, songs, numbers, sizes, plan)
    return {EXTREMES: by_extremes(peaks, songs, numbers, plan.seed), **({TREND: trend} if trend else {})}


def predicted(peaks: Peaks | None, songs: np.ndarray, sizes: Sizes, plan: Plan) -> list[dict]:
    """Rows of the predictions: for the database itself, where the rate was measured, and for all larger ones."""
    if peaks is None:
        return []
    numbers = np.array([sizes.songs - 1, *sizes.distractors([one for one in plan.segments if one > sizes.rows])])
    rows = []
    for method, estimate in estimates(peaks, songs, numbers, sizes, plan).items():
        rows += [_row(PREDICTED, method, peaks, number, sizes, estimate, at) for at, number in enumerate(numbers)]
        rows[-len(numbers)] |= _held_against(estimate.rates[:, 0], measured(peaks, songs, plan.seed))
    return rows


def checked(part: Peaks | None, whole: Peaks | None, songs: np.ndarray, sizes: Sizes, plan: Plan) -> list[dict]:
    """Rows of one check: each method, fitted to a part of the distractor songs, held against what all of them do."""
    if part is None or whole is None:
        return []
    truth, numbers = measured(whole, songs, plan.seed), np.array([sizes.songs - 1])
    return [
        _row(CHECKED, method, part, numbers[0], sizes, estimate, 0) | _held_against(estimate.rates[:, 0], truth)
        for method, estimate in estimates(part, songs, numbers, sizes, plan).items()
    ]


def _row(kind: str, method: str, peaks: Peaks, number: float, sizes: Sizes, estimate: Estimate, at: int) -> dict:
    segments = float(sizes.segments(number))
    row = {"kind": kind, "method": method, "fitted_songs": peaks.songs.max(), "songs": number + 1, "segments": segments}
    row |= _with_bounds(100 * estimate.rates[:, at], "hit_rate_pct", "low_pct", "high_pct")
    if estimate.shape is not None:
        row |= _with_bounds(estimate.shape, "shape", "shape_low", "shape_high")
    return row


def _held_against(rates: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    difference = _with_bounds(100 * (rates - truth), "difference", "difference_low", "difference_high")
    return {"measured_pct": 100 * truth[0], **difference}


def _with_bounds(values: np.ndarray, *names: str) -> dict[str, float]:
    """An estimate, the first of the values, and the bounds of 95 % of the others, by their names."""
    return dict(zip(names, (values[0], *np.quantile(values[1:], [0.025, 0.975])), strict=True))
