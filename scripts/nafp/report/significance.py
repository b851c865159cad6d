"""Do two cells differ beyond chance? Paired tests on the per-query tables that lie beside the cells."""

from collections.abc import Hashable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from nafp.files import reading
from nafp.metrics import mcnemar

LEVEL = 0.05
HIT = {"exact": "top1_exact", "near": "top1_near", "song": "top1_song", "top3": "top3_exact", "top10": "top10_exact"}


def hits_beside(cell: str | Path) -> Path:
    """The per-query table of a cell file."""
    return Path(cell).with_suffix(".hits.parquet")


@cache
def read_hits(path: Path) -> dict[tuple[str, float], pd.Series]:
    """(match, seconds) -> booleans, indexed by the number of the query segment where the sequence starts."""
    with reading(path):
        table = pd.read_parquet(path, columns=["query", "length", *HIT.values()])
    return {
        (match, (length + 1) / 2): rows.set_index("query")[column].astype(bool)
        for length, rows in table.groupby("length")
        for match, column in HIT.items()
    }


def paired_p(a: pd.Series, b: pd.Series) -> float:
    """Two-sided p of McNemar's exact test of two systems' hits; NaN if their queries are not of the same songs and times.

    Two query sets are pairs too: a query of one is the same second of the same song as the other's, degraded otherwise.
    """
    if not a.index.equals(b.index):
        return np.nan
    return mcnemar(a.to_numpy(), b.to_numpy())[2]


def against(
    files: Mapping[Hashable, Path], cells: Sequence[Hashable], baselines: Sequence[Hashable]
) -> dict[tuple[str, float], float]:
    """(match, seconds) -> p of a configuration against the baseline, each a list of keys of ``files``, one a
    seed.

    Seeds are paired in their order, or all with a single baseline; the largest p counts, so that a difference is one in
    every pair. Absent where a per-query table is.
    """
    pairs = [(cell, baselines[i % len(baselines)]) for i, cell in enumerate(cells)]
    if not pairs or any(one not in files for pair in pairs for one in pair):
        return {}
    tables = [(read_hits(files[a]), read_hits(files[b])) for a, b in pairs]
    shared = [key for key in tables[0][0] if all(key in table for pair in tables for table in pair)]
    return {key: max(paired_p(a[key], b[key]) for a, b in tables) for key in shared}


def holm(p: pd.Series) -> pd.Series:
    """p values corrected for their number by Holm's method; NaN stays NaN and does not count."""
    known = p.dropna().sort_values(kind="stable")
    factors = np.arange(len(known), 0, -1)
    return (known * factors).cummax().clip(upper=1).reindex(p.index)


def unpaired_p(hits_a: int, n_a: int, hits_b: int, n_b: int) -> float:
    """Two-sided p of Fisher's exact test of two rates over different queries."""
    return float(fisher_exact([[hits_a, n_a - hits_a], [hits_b, n_b - hits_b]]).pvalue)
