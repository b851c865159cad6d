"""How the hit rate falls and the search time grows with the size of the database, and what that predicts."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from nafp.search.index import build_index, read_index
from nafp.search.sequences import hits, search_sequences
from nafp.search.vectors import Database

RESAMPLES = 500
NEWTON_STEPS = 30


def measure(
    name: str,
    options: Mapping,
    database: Database,
    query: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    fractions: Sequence[float],
    **building,
) -> pd.DataFrame:
    """Search with the first part of the dummy fingerprints, for each fraction of them.

    One row a fraction, length and query: fraction, segments (of the database), length, query, hit (exact), ms (a query).
    """
    tables = []
    for fraction in fractions:
        part = Database(database.dummy[: max(round(fraction * len(database.dummy)), 1)], database.db)
        with tempfile.TemporaryDirectory() as folder:
            build_index(name, options, part, Path(folder) / name, **building)
            index = read_index(name, options, Path(folder) / name, part)
            for result in search_sequences(index, part, query, starts, lengths):
                hit = hits(result.place, starts + len(part.dummy))["top1_exact"]
                columns = {"fraction": fraction, "segments": len(part), "length": result.length, "query": starts}
                tables.append(pd.DataFrame(columns | {"hit": hit, "ms": result.ms}))
        print(f"{name}: {len(part):,} segments, {100 * hit.mean():.1f} % of the longest sequences")
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Trend:
    """A straight line of log odds over the decadic logarithm of the size, refitted to resampled queries.

    ``lines``: (resamples + 1, 2) intercept and slope, the fit to all queries first.
    """

    lines: np.ndarray

    def hit_rate(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sizes (n,) -> hit rates (n,) from 0 to 1: fitted, and the bounds of 95 % of the resamples.

        The bounds hold what other queries would change; they do not hold that the line may bend.
        """
        rates = expit(self.lines[:, :1] + self.lines[:, 1:] * np.log10(np.atleast_1d(segments)))
        return rates[0], *np.quantile(rates[1:], [0.025, 0.975], axis=0)


def fit_trend(segments: np.ndarray, hit: np.ndarray, seed: int = 0) -> Trend:
    """Logistic regression of hits (queries, sizes) on the sizes, for all queries and for RESAMPLES of them.

    A resample weighs the queries anew (Bayesian bootstrap); all sizes of a query have one weight, because they are answers
    to the same question. Two halves of a query, one that always hits and one that never does (Jeffreys' prior), keep the
    odds finite and the bounds apart where all queries hit.
    """
    often = np.append(np.ones(len(hit)), [0.5, 0.5])
    hit = np.vstack([hit, np.ones(hit.shape[1]), np.zeros(hit.shape[1])])
    weights = np.vstack([often, np.random.default_rng(seed).standard_gamma(often, (RESAMPLES, len(often)))])
    share = np.clip(weights @ hit / weights.sum(axis=1, keepdims=True), 1e-6, 1 - 1e-6)
    x = np.log10(segments) - np.log10(segments).mean()
    lines = np.zeros((len(share), 2))
    for _ in range(NEWTON_STEPS):
        p = expit(lines[:, :1] + lines[:, 1:] * x)
        gradient = np.stack([(share - p).sum(axis=1), ((share - p) * x).sum(axis=1)], axis=1)
        w = p * (1 - p)
        curvature = np.stack([w.sum(axis=1), (w * x).sum(axis=1), (w * x).sum(axis=1), (w * x * x).sum(axis=1)], axis=1)
        lines += np.linalg.solve(curvature.reshape(-1, 2, 2), gradient[:, :, None])[:, :, 0]
    lines[:, 0] -= lines[:, 1] * np.log10(segments).mean()
    return Trend(lines)


def predictions(measured: pd.DataFrame, factor: float = 10) -> pd.DataFrame:
    """What ``measure`` found, one row an index, length and size, and a last one for a ``factor`` times larger database.

    Columns: length, queries (their number), segments, measured (hit rate in percent, NaN for the prediction), fitted, low
    and high (95 %), ms (measured; predicted as growing with the slope of the last two sizes).
    """
    tables = []
    for length, rows in measured.groupby("length", sort=True):
        by_size = rows.pivot(index="query", columns="segments", values="hit")
        sizes = by_size.columns.to_numpy()
        trend = fit_trend(sizes, by_size.to_numpy(float))
        all_sizes = np.append(sizes, factor * sizes[-1])
        fitted, low, high = (100 * rate for rate in trend.hit_rate(all_sizes))
        ms = rows.groupby("segments")["ms"].first().to_numpy()
        grown = (
            ms[-1] + (ms[-1] - ms[-2]) / (sizes[-1] - sizes[-2]) * (all_sizes[-1] - sizes[-1])
            if len(ms) > 1
            else np.nan
        )
        table = {
            "length": length,
            "queries": len(by_size),
            "segments": all_sizes,
            "measured": [*100 * by_size.mean(), np.nan],
        }
        tables.append(
            pd.DataFrame(table | {"fitted": fitted, "low": low, "high": high, "ms": [*ms, max(grown, ms[-1])]})
        )
    return pd.concat(tables, ignore_index=True)
