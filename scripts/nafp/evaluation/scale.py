"""How the hit rate falls and the search time grows with the size of the database, and what that predicts."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

from nafp.errors import UserError
from nafp.evaluation.asked import Asked
from nafp.evaluation.hits import rank_of_truth
from nafp.search.index import build_index, read_index
from nafp.search.rates import rates_of_index
from nafp.search.sequences import search_sequences
from nafp.search.vectors import Database

RESAMPLES = 500
NEWTON_STEPS = 30
LARGER = 10  # size of the database predicted for, times the largest one measured


def measure(
    name: str,
    options: Mapping,
    database: Database,
    query: np.ndarray,
    songs: np.ndarray,
    asked: Asked,
    lengths: Sequence[int],
    fractions: Sequence[float],
    partial_mean: bool = False,
    within: np.ndarray | None = None,
    **building,
) -> pd.DataFrame:
    """Search with the first part of the dummy fingerprints, for each fraction of them.

    ``query``: (n, d), ``songs``: (m,) the song of each row of ``database.db``, ``asked``: of q sequences, ``within``: (rows,) the
    songs of the database, if an answer must lie inside one. Fractions that are the same number of fingerprints are measured once.
    One row a fraction, length and query: fraction, segments (of the database), length, query, song, hit (exact), ms (a query).
    Raises UserError where the fractions are not at least two sizes, or the places of the queries are not known.
    """
    asked.require_places("scale")
    tables = []
    for rows, fraction in sizes_of(fractions, len(database.dummy)).items():
        part = Database(database.dummy[:rows], database.db)
        with tempfile.TemporaryDirectory() as folder:
            build_index(name, options, part, Path(folder) / name, **building)
            index = read_index(name, options, Path(folder) / name, part)
            inside = None if within is None else np.concatenate([within[:rows], within[len(database.dummy) :]])
            how = {"partial_mean": partial_mean, "songs": inside, "rates": rates_of_index(options)}
            for result in search_sequences(index, part, query, asked.starts, lengths, **how):
                hit = rank_of_truth(result.place, result.score, asked.right + rows) == 1
                columns = {"fraction": fraction, "segments": len(part), "length": result.length, "query": asked.starts}
                tables.append(pd.DataFrame(columns | {"song": songs[asked.right], "hit": hit, "ms": result.ms}))
        print(f"{name}: {len(part):,} segments, {100 * hit.mean():.1f} % of the longest sequences")
    return pd.concat(tables, ignore_index=True)


def sizes_of(fractions: Sequence[float], dummy_rows: int) -> dict[int, float]:
    """Number of dummy fingerprints -> the first of the fractions that is so many."""
    sizes = {}
    for fraction in fractions:
        sizes.setdefault(min(max(round(fraction * dummy_rows), 1), dummy_rows), fraction)
    if len(sizes) < 2:
        raise UserError(
            f"scale.fractions: {', '.join(map(str, fractions))} of {dummy_rows:,} dummy fingerprints are one size, but a trend "
            "needs two; take fractions further apart, or more dummy songs"
        )
    return sizes


@dataclass(frozen=True)
class Trend:
    """A straight line of log odds over the decadic logarithm of the size, refitted to resampled songs.

    ``lines``: (resamples + 1, 2) intercept and slope, the fit to all queries first.
    """

    lines: np.ndarray

    def hit_rate(self, segments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sizes (n,) -> hit rates (n,) from 0 to 1: fitted, and the bounds of 95 % of the resamples.

        The bounds are for other songs; they ignore curvature (model error).
        """
        rates = self.rates(segments)
        return rates[0], *np.quantile(rates[1:], [0.025, 0.975], axis=0)

    def rates(self, segments: np.ndarray) -> np.ndarray:
        """Sizes (n,) -> hit rates (resamples + 1, n) of all lines."""
        return expit(self.lines[:, :1] + self.lines[:, 1:] * np.log10(np.atleast_1d(segments)))


def song_weights(songs: int, seed: int = 0) -> np.ndarray:
    """(RESAMPLES, songs + 2) weights of a Bayesian bootstrap of songs; the last two are half a song each, see `fit_trend`."""
    often = np.append(np.ones(songs), [0.5, 0.5])
    return np.random.default_rng(seed).standard_gamma(often, (RESAMPLES, len(often)))


def fit_trend(segments: np.ndarray, found: np.ndarray, queries: np.ndarray, seed: int = 0) -> Trend:
    """Logistic regression of hits ``found`` (songs, sizes) on the sizes, for all songs and for RESAMPLES of them.

    ``queries``: (songs,) of each song. A resample weighs the songs anew (Bayesian bootstrap); all sizes and queries of a song
    have one weight. Two halves of a song of average length, one that always hits and one that never does (Jeffreys' prior),
    keep the bounds apart where all queries hit; in the fit to all songs they are two halves of a query, so that its odds are
    finite.
    """
    average = queries.mean()
    found = np.vstack([found, np.full(found.shape[1], average), np.zeros(found.shape[1])])
    queries = np.append(queries, [average, average])
    all_songs = np.append(np.ones(len(queries) - 2), [0.5 / average, 0.5 / average])
    weights = np.vstack([all_songs, song_weights(len(queries) - 2, seed)])
    share = np.clip(weights @ found / (weights @ queries)[:, None], 1e-6, 1 - 1e-6)
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


def predictions(measured: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """What ``measure`` found, one row an index, length and size, and a last one for a LARGER times larger database.

    Columns: length, queries and songs (their numbers), segments, measured (hit rate in percent, NaN for the prediction), fitted,
    low and high (95 %, over songs), ms (measured; predicted as growing with the slope of the last two sizes).
    """
    tables = []
    for length, rows in measured.groupby("length", sort=True):
        by_song = rows.groupby(["song", "segments"])["hit"].agg(["sum", "size"]).unstack("segments")
        found, queries = by_song["sum"].to_numpy(float), by_song["size"].iloc[:, 0].to_numpy(float)
        sizes = by_song["sum"].columns.to_numpy()
        trend = fit_trend(sizes, found, queries, seed)
        all_sizes = np.append(sizes, LARGER * sizes[-1])
        fitted, low, high = (100 * rate for rate in trend.hit_rate(all_sizes))
        ms = rows.groupby("segments")["ms"].first().to_numpy()
        grown = ms[-1] + (ms[-1] - ms[-2]) / (sizes[-1] - sizes[-2]) * (all_sizes[-1] - sizes[-1])
        table = {
            "length": length,
            "queries": int(queries.sum()),
            "songs": len(queries),
            "segments": all_sizes,
            "measured": [*100 * found.sum(axis=0) / queries.sum(), np.nan],
        }
        tables.append(
            pd.DataFrame(table | {"fitted": fitted, "low": low, "high": high, "ms": [*ms, max(grown, ms[-1])]})
        )
    return pd.concat(tables, ignore_index=True)
