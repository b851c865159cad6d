"""Hit rates in databases larger than the data: predictions side by side, each checked on data that it was not shown.

``extreme values`` (`nafp.evaluation.extremes`) follows each query's best distractor songs into the tail; ``trend``
(`nafp.evaluation.scale.fit_trend`) is a straight line of log odds over the size; ``generated songs`` are drawn from a model of
the songs (`nafp.evaluation.generated`) and searched. All count the same exact scores
(`nafp.evaluation.song_scores`). The check: fit with a random share of the distractor songs, predict for all of them, compare.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import gammaln

from nafp.evaluation.extremes import (
    CHECKED,
    EXTREMES,
    FEWEST,
    GENERATED,
    PREDICTED,
    TREND,
    Peaks,
    fit_tails,
    hit_chances,
)
from nafp.evaluation.generated import fit_part
from nafp.evaluation.protocol import Protocol
from nafp.evaluation.scale import fit_trend, song_weights
from nafp.evaluation.song_scores import TIE, Kept, Sequences, blocks, score_own_songs, score_songs
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
    *("best_higher", "best_higher_low", "best_higher_high", "queries", "query_songs"),
]


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
    tail, parts = min(plan.tail, sizes.songs // TAIL) + 1, random_parts(sizes.songs, plan)
    fitted = [np.ones(sizes.songs, bool), *parts]
    rest = [(~part, 1) for part in parts]
    kept = score_songs(asked, blocks(database, songs), of_db[starts], right, [*((one, tail) for one in fitted), *rest])
    drawn = [
        generated_songs(asked, database, songs, right, part, sizes, [plan.seed, i], plan)
        for i, part in enumerate(fitted)
    ]
    _, of_query = np.unique(of_db[starts], return_inverse=True)
    rows = []
    for n in asked.lengths:
        peaks = [peaks_of(one, *of_own[n], of_db[starts], plan.tail) for one in kept[n][: len(fitted)]]
        rows += [row | {"length": n} for row in predicted(peaks[0], drawn[0].get(n), of_query, sizes, plan)]
        for number, left in enumerate(kept[n][len(fitted) :], start=1):
            found = checked(peaks[number], drawn[number].get(n), left, peaks[0], of_query, sizes, plan)
            rows += [row | {"length": n, "part": number} for row in found]
    facts = {"queries": len(starts), "query_songs": of_query.max() + 1}
    return pd.DataFrame(rows, columns=COLUMNS).assign(**facts)


def generated_songs(
    asked: Sequences,
    database: Database,
    songs: np.ndarray,
    right: dict[int, np.ndarray],
    part: np.ndarray,
    sizes: Sizes,
    seed: list[int],
    plan: Plan,
) -> dict[int, Kept]:
    """Length -> what is kept of songs generated like those of a part: as many as it lacks; of the whole, ``plan.generated``."""
    if not plan.generated or sizes.songs <= FEWEST_SONGS:
        return {}
    count = int((~part).sum()) or round(plan.generated / sizes.rows_a_song)
    stream = fit_part(database, songs, part).stream(count, sizes.rows_a_song, seed)
    none = np.full(len(asked.starts), -1)
    found = score_songs(asked, stream, none, right, [(np.ones(count, bool), 1)])
    return {n: kept for n, (kept,) in found.items()}


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


def _by_song(values: np.ndarray, songs: np.ndarray) -> np.ndarray:
    """Sums (songs, ...) of values (q, ...) over the queries of each song."""
    sums = np.zeros((songs.max() + 1, *values.shape[1:]))
    np.add.at(sums, songs, values)
    return sums


def weighted(chances: np.ndarray, songs: np.ndarray, seed: int) -> np.ndarray:
    """(1 + RESAMPLES, sizes) rates of chances (q, sizes) of hits, with the weights of the other estimates."""
    found, queries = _by_song(chances, songs), np.bincount(songs)
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


def predicted(peaks: Peaks | None, drawn: Kept | None, songs: np.ndarray, sizes: Sizes, plan: Plan) -> list[dict]:
    """Rows of the predictions: for the database itself, where the rate was measured, and for all larger ones."""
    if peaks is None:
        return []
    numbers = np.array([sizes.songs - 1, *sizes.distractors([one for one in plan.segments if one > sizes.rows])])
    rows = []
    for method, estimate in estimates(peaks, drawn, songs, numbers, sizes, plan).items():
        some = [_row(PREDICTED, method, peaks, number, sizes, estimate, at) for at, number in enumerate(numbers)]
        some[0] |= _held_against(estimate.rates[:, 0], measured(peaks, songs, plan.seed))
        rows += [row for row in some if np.isfinite(row["hit_rate_pct"])]
    return rows


def checked(
    part: Peaks | None,
    drawn: Kept | None,
    left: Kept,
    whole: Peaks | None,
    songs: np.ndarray,
    sizes: Sizes,
    plan: Plan,
) -> list[dict]:
    """Rows of one check: each method, fitted to a part of the distractor songs, held against what all of them do.

    Of generated songs also the best scores: how much higher they are than those of as many songs that were ``left`` out.
    """
    if part is None or whole is None:
        return []
    truth, numbers = measured(whole, songs, plan.seed), np.array([sizes.songs - 1])
    rows = [
        _row(CHECKED, method, part, numbers[0], sizes, estimate, 0) | _held_against(estimate.rates[:, 0], truth)
        for method, estimate in estimates(part, drawn, songs, numbers, sizes, plan).items()
    ]
    if drawn:
        higher = _by_song(drawn.top[:, 0].astype(float) - left.top[:, 0], songs)
        weights, queries = song_weights(len(higher), plan.seed)[:RESAMPLES, :-2], np.bincount(songs)
        means = np.append(higher.sum() / queries.sum(), weights @ higher / (weights @ queries))
        rows[-1] |= _with_bounds(means, "best_higher", "best_higher_low", "best_higher_high")
    return rows


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
