"""Hit rates over the strengths of degradations, and the limits within which at least half of the queries are found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from nafp.evaluation.song_hits import read_hits
from nafp.grid import AXES, CellKey
from nafp.report.tables.cells import OF_QUERIES, differs, pool_seeds, with_intervals
from nafp.report.tables.layout import MINUS
from nafp.report.tables.study import Study, name_of, planned_configurations

HALF = 50  # percent
RESAMPLES = 2000
FEWEST = 5  # columns of a panel, so that cells of few strengths are not too wide
SHOWN_S = 3  # seconds of the queries that are shown first, or the nearest there is
RATES = ["configuration", "ladder", "strength", "query_set", "query_s", "match", "songs", "queries"]
RATES += ["hit_rate_pct", "low_pct", "high_pct"]
ENDS = ["from", "from_low", "from_high", "to", "to_low", "to_high"]
LIMITS = ["configuration", "ladder", "unit", "query_s", "match", *ENDS, "said"]


@dataclass(frozen=True)
class Matrix:
    """``rates``: RATES, one row a configuration, strength and query length; those that have not run are NaN. ``limits``: LIMITS,
    one row a configuration, ladder and query length: from which to which strength at least half of the queries are found, each
    with its 95 % interval; NaN where the ladder has no such end. ``ladders``: as in `Study`. ``firsts``: configuration -> its
    first cell."""

    rates: pd.DataFrame
    limits: pd.DataFrame
    ladders: Sequence[Mapping[str, Any]]
    firsts: Mapping[str, CellKey] = field(default_factory=dict)

    @property
    def shown_s(self) -> float:
        """The query length that is shown first."""
        return min(self.rates["query_s"].unique(), key=lambda s: (abs(s - SHOWN_S), s))


def matrix_of(cells: pd.DataFrame, study: Study) -> Matrix:
    """The matrix of a study that has ladders, of its first kind of match; ``cells``: of `load_cells`, at least one."""
    every, rates, limits = _every_cell(cells, study), [], []
    for ladder in study.ladders:
        rows = every[every["query_set"].isin(list(ladder["sets"]))]
        rows = rows.assign(ladder=ladder["name"], strength=rows["query_set"].map(ladder["sets"]))
        rates.append(rows)
        groups = rows.groupby(["configuration", "query_s"], sort=False) if ladder["limits"] else []
        for (name, seconds), some in groups:
            ends = _ends(some, ladder["scale"])
            limits.append(
                [name, ladder["name"], ladder["unit"], seconds, study.matches[0], *ends, sentence(some, ends)]
            )
    rates = pd.concat(rates)[RATES].reset_index(drop=True)
    firsts = {
        row["configuration"]: CellKey(row["planned_runs"][0], row["index"])
        for row in configurations_of(cells, study).drop_duplicates("configuration").to_dict("records")
    }
    return Matrix(rates, pd.DataFrame(limits, columns=LIMITS), study.ladders, firsts)


def configurations_of(cells: pd.DataFrame, study: Study) -> pd.DataFrame:
    """`planned_configurations` with ``configuration``, their names without the query set."""
    planned = planned_configurations(cells, study)
    fields = planned.drop(columns=["planned", "planned_runs"])
    names = [name for name in dict.fromkeys([*study.varied, *fields]) if name in fields and differs(fields, name)]
    names = [name for name in names if name not in (*OF_QUERIES, *AXES)]
    return planned.assign(configuration=[name_of(row, names) for row in planned.to_dict("records")])


def _every_cell(cells: pd.DataFrame, study: Study) -> pd.DataFrame:
    """A row for each planned configuration, query set and query length, seeds pooled: NaN where it has not run."""
    planned = configurations_of(cells, study).drop(columns=["planned", "planned_runs"])
    pooled = pool_seeds(cells, keep_seeds="seed" in study.varied)
    pooled = with_intervals(pooled[pooled["match"].eq(study.matches[0])]).rename(columns={"seconds": "query_s"})
    lengths = pd.DataFrame({"query_s": sorted(cells["seconds"].unique())})
    every = planned.merge(lengths, how="cross").merge(pooled, how="left", sort=False)
    return every.assign(match=study.matches[0], queries=every["queries"] / every["seeds"])


# ---------------------------------------------------------------- limits


def _ends(rows: pd.DataFrame, scale: str) -> list[float]:
    """ENDS of the rows of one configuration, ladder and query length: NaN where strengths are names, where some have not run,
    or where there is no end.

    The first crossings of HALF on either side of the best strength (``best_of``), interpolated on the ladder's scale. Their
    intervals are by songs, drawn again with replacement; -inf or inf where a ladder of the drawn songs has no crossing, and both
    of one song: it does not show how songs vary.
    """
    if rows["hit_rate_pct"].isna().any() or rows["hit_rate_pct"].max() < HALF or not _has_numbers(rows):
        return [np.nan] * len(ENDS)
    rows = rows.sort_values("strength", key=lambda column: column.astype(float))
    at, rates = rows["strength"].to_numpy(float), rows["hit_rate_pct"].to_numpy()[None]
    at, best, resampled, found = np.log(at) if scale == "log" else at, best_of(rates[0]), _resampled(rows), []
    for sign in (-1, 1):
        outward = slice(best, None, sign)
        (end,) = crossings(sign * at[outward], rates[:, outward])
        drawn = sign * crossings(sign * at[outward], resampled[:, outward])
        bounds = _central(drawn) if rows["songs"].min() > 1 else [-np.inf, np.inf]
        found += [sign * end, *bounds] if np.isfinite(end) else [np.nan] * 3
    return [float(np.exp(value) if scale == "log" and np.isfinite(value) else value) for value in found]


def best_of(rates: np.ndarray) -> int:
    """The number of the highest of (K,) rates; of several, the first one in the longest run of rates from HALF on."""
    found = rates >= HALF
    run = np.cumsum(~found)  # the same for all of a run, and the rate under HALF before it
    length = np.bincount(run[found], minlength=run[-1] + 1)[run]
    return int(np.lexsort((-length, -rates))[0])


def crossings(at: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """(K,) increasing positions, (n, K) rates in percent -> (n,) positions at which they first fall under HALF, interpolated
    linearly: the first one if that rate is under it already, inf if none is."""
    below = rates < HALF
    after = np.where(below.any(axis=1), below.argmax(axis=1), 0)
    before, every = np.maximum(after - 1, 0), np.arange(len(rates))
    high, low = rates[every, before], rates[every, after]
    share = np.divide(high - HALF, high - low, out=np.zeros(len(rates)), where=high > low)
    found = at[before] + share * (at[after] - at[before])
    return np.where(below.any(axis=1), found, np.inf)


def _central(values: np.ndarray) -> list[float]:
    """The bounds of 95 % of some values, of which some may be infinite."""
    cut = int(0.025 * (len(values) - 1))
    return list(np.sort(values)[[cut, -1 - cut]])


def _resampled(rows: pd.DataFrame) -> np.ndarray:
    """(RESAMPLES, rows) hit rates, percent, of songs drawn with replacement, the same ones for all rows; seeds are averaged."""
    tables = [[read_hits(path) for path in paths] for paths in rows["answers"]]
    songs = sorted({name for seeds in tables for name in seeds[0].names})
    drawn = np.random.default_rng(0).multinomial(len(songs), np.full(len(songs), 1 / len(songs)), RESAMPLES)
    rates = []
    for seeds, match, seconds in zip(tables, rows["match"], rows["query_s"], strict=True):
        times = drawn[:, np.searchsorted(songs, seeds[0].names)]
        hits = np.mean([one.of(match, seconds) for one in seeds], axis=0)
        rates.append(100 * (times @ hits) / np.maximum(times @ seeds[0].queries, 1))
    return np.stack(rates, axis=1)


def _has_numbers(rows: pd.DataFrame) -> bool:
    return all(isinstance(strength, (int, float)) for strength in rows["strength"])


# ---------------------------------------------------------------- words


def sentence(rows: pd.DataFrame, ends: Sequence[float]) -> str:
    """At which strengths at least half of the queries are found, in words without the unit; ``ends``: ENDS."""
    if rows["hit_rate_pct"].isna().any():
        return "unknown until all strengths have run"
    enough = rows["hit_rate_pct"] >= HALF
    if enough.all() or not enough.any():
        return f"at {'every' if enough.all() else 'no'} strength"
    if not _has_numbers(rows):
        return f"not with {', '.join(map(strength_text, rows['strength'][~enough]))}"
    lowest, highest = (strength_text(end(rows["strength"])) for end in (min, max))
    parts = []
    for word, (end, low, high) in (("from", ends[:3]), ("up to" if np.isnan(ends[0]) else "to", ends[3:])):
        if not np.isnan(end):
            first = number(low) if np.isfinite(low) else f"< {lowest}"
            last = number(high) if np.isfinite(high) else f"> {highest}"
            parts.append(f"{word} {number(end)} ({first} to {last})")
    return " ".join(parts) + " on" * bool(np.isnan(ends[3]))


def strength_text(strength: float | str) -> str:
    """A strength as heads and axes show it."""
    return f"{strength:,g}".replace("-", MINUS) if isinstance(strength, (int, float)) else strength


def number(value: float) -> str:
    """An interpolated strength with as many digits as its interval bears."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}".replace("-", MINUS)
