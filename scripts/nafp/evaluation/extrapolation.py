"""Hit rates in databases larger than the data: predictions side by side, each checked on data that it was not shown.

``extreme values`` (`nafp.evaluation.extremes`) follows each query's best distractor songs into the tail; ``trend``
(`nafp.evaluation.scale.fit_trend`) is a straight line of log odds over the size; ``generated songs`` are drawn from a model of
the songs (`nafp.evaluation.generated`) and searched. All count the same exact scores
(`nafp.evaluation.song_scores`). The check: fit with a random share of the distractor songs, predict for all of them, compare.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from nafp.evaluation.asked import Asked
from nafp.evaluation.estimates import RESAMPLES, Estimate, Plan, Sizes, by_song, estimates, measured
from nafp.evaluation.extremes import CHECKED, FEWEST, PREDICTED, Peaks
from nafp.evaluation.generated import fit_part
from nafp.evaluation.protocol import Protocol
from nafp.evaluation.scale import song_weights
from nafp.evaluation.song_scores import TIE, Kept, Sequences, blocks, score_own_songs, score_songs
from nafp.search.vectors import Database

TAIL = 4  # the tail is at most one in so many songs
FEWEST_SONGS = FEWEST * TAIL
OF_RATES = "hit_rate_pct", "low_pct", "high_pct", "measured_pct", "difference", "difference_low", "difference_high"
OF_TAILS = "shape", "shape_low", "shape_high"
OF_SCORES = "best_higher", "best_higher_low", "best_higher_high"
COLUMNS = [
    *("kind", "method", "length", "part", "fitted_songs", "songs", "segments", *OF_RATES, *OF_TAILS, *OF_SCORES),
    *("queries", "query_songs"),
]


def extrapolate(
    database: Database,
    songs: np.ndarray,
    query: np.ndarray,
    asked: Asked,
    lengths: Sequence[int],
    protocol: Protocol,
    plan: Plan,
) -> pd.DataFrame:
    """Predictions and their checks, one row a method, length, size and part: COLUMNS, rates in percent, differences in points.

    ``songs``: (rows,) the song of each row of the database, ascending from 0; ``asked``: of q sequences of ``query`` (n, d).
    Intervals are 95 %, over songs of queries and, for extreme values, of distractors. No rows with fewer than FEWEST_SONGS
    distractor songs; no checks where a part would have fewer. UserError if the places of the queries are not known.
    """
    asked.require_places("extrapolation")
    sizes = Sizes(int(songs[-1]) + 1, len(database))
    sequences = Sequences(np.ascontiguousarray(query, np.float32), asked.starts, asked.right, sorted(lengths))
    of_db = songs[len(database.dummy) :]
    own = of_db[asked.right]
    of_own = score_own_songs(sequences, database.db, of_db, protocol)
    right = {n: scores for n, (scores, _) in of_own.items()}
    tail, parts = min(plan.tail, sizes.songs // TAIL) + 1, random_parts(sizes.songs, plan)
    fitted = [np.ones(sizes.songs, bool), *parts]
    rest = [(~part, 1) for part in parts]
    kept = score_songs(sequences, blocks(database, songs), own, right, [*((one, tail) for one in fitted), *rest])
    drawn = [
        generated_songs(sequences, database, songs, right, part, sizes, [plan.seed, i], plan)
        for i, part in enumerate(fitted)
    ]
    _, of_query = np.unique(own, return_inverse=True)
    rows = []
    for n in sequences.lengths:
        peaks = [peaks_of(one, *of_own[n], own, plan.tail) for one in kept[n][: len(fitted)]]
        rows += [row | {"length": n} for row in predicted(peaks[0], drawn[0].get(n), of_query, sizes, plan)]
        for number, left in enumerate(kept[n][len(fitted) :], start=1):
            found = checked(peaks[number], drawn[number].get(n), left, peaks[0], of_query, sizes, plan)
            rows += [row | {"length": n, "part": number} for row in found]
    facts = {"queries": len(own), "query_songs": of_query.max() + 1}
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
        higher = by_song(drawn.top[:, 0].astype(float) - left.top[:, 0], songs)
        weights, queries = song_weights(len(higher), plan.seed)[:RESAMPLES, :-2], np.bincount(songs)
        means = np.append(higher.sum() / queries.sum(), weights @ higher / (weights @ queries))
        rows[-1] |= _with_bounds(means, *OF_SCORES)
    return rows


def _row(kind: str, method: str, peaks: Peaks, number: float, sizes: Sizes, estimate: Estimate, at: int) -> dict:
    segments = float(sizes.segments(number))
    row = {"kind": kind, "method": method, "fitted_songs": peaks.songs.max(), "songs": number + 1, "segments": segments}
    row |= _with_bounds(100 * estimate.rates[:, at], *OF_RATES[:3])
    if estimate.shape is not None:
        row |= _with_bounds(estimate.shape, *OF_TAILS)
    return row


def _held_against(rates: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    difference = _with_bounds(100 * (rates - truth), *OF_RATES[4:])
    return {"measured_pct": 100 * truth[0], **difference}


def _with_bounds(values: np.ndarray, *names: str) -> dict[str, float]:
    """An estimate, the first of the values, and the bounds of 95 % of the others, by their names."""
    return dict(zip(names, (values[0], *np.quantile(values[1:], [0.025, 0.975])), strict=True))
