"""The similarity matrix: how alike the queries of one song are to its segments."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import seaborn as sns

from nafp.report.style import drawn, short

MOST_SEGMENTS, MOST_RUNS = 59, 4
HOP_S = 0.5


def matrix(db: np.ndarray, query: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """(n, n) inner products of the queries (rows) and the segments of the first clip with most of them.

    ``db``, ``query``: (segments, d) fingerprints of the test split; ``clips``: (segments,) the clip of each.
    """
    counts = np.bincount(clips).clip(max=MOST_SEGMENTS)
    rows = np.flatnonzero(clips == counts.argmax())[:MOST_SEGMENTS]
    return np.asarray(query[rows]) @ np.asarray(db[rows]).T


def draw(matrices: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Draw the first MOST_RUNS matrices side by side on one scale. Writes an SVG to `path`, and a PNG."""
    chosen = list(matrices.items())[:MOST_RUNS]
    columns = len(chosen)
    with drawn(path, columns, width=1.1 + 2.5 * columns, height=2.9, sharey=True, squeeze=False) as (_, panels):
        for axes, (name, values) in zip(panels.flat, chosen, strict=True):
            last = axes is panels.flat[-1]
            sns.heatmap(
                values, vmin=-0.2, vmax=1, cmap="cividis", ax=axes, square=True, rasterized=True, cbar=last,
                cbar_kws={"label": "inner product", "shrink": 0.8},
            )  # fmt: skip
            ticks = np.arange(0, len(values), max(len(values) // 3, 1))
            axes.set_xticks(ticks + 0.5, [f"{t * HOP_S:g}" for t in ticks], rotation=0)
            axes.set_yticks(ticks + 0.5, [f"{t * HOP_S:g}" for t in ticks], rotation=0)
            off = values[np.abs(np.subtract.outer(*2 * [np.arange(len(values))])) > 1]
            beside = f"\nelsewhere {off.mean():.2f}" if off.size else ""
            axes.set_title(f"{short(name)}\nright segment {np.diag(values).mean():.2f}{beside}", fontsize=9)
            axes.set_xlabel("original, s")
        panels.flat[0].set_ylabel("degraded query, s")
