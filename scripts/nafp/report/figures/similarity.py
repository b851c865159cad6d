"""Similarity matrices: inner products of the queries of one song and its segments."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import seaborn as sns

from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.report.figures.style import plotted, short

MOST_SEGMENTS, MOST_RUNS = 59, 4


def matrix(db: np.ndarray, query: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """(n, n) inner products of the queries (rows) and the segments of the first clip with most of them.

    ``db``, ``query``: (segments, d) fingerprints of the test split; ``clips``: (segments,) the clip of each.
    """
    counts = np.bincount(clips).clip(max=MOST_SEGMENTS)
    rows = np.flatnonzero(clips == counts.argmax())[:MOST_SEGMENTS]
    return query[rows] @ db[rows].T


def plot_matrices(matrices: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Plot the first MOST_RUNS matrices, two in a row, on one scale. Writes an SVG to `path`, and a PNG."""
    chosen = list(matrices.items())[:MOST_RUNS]
    columns = min(len(chosen), 2)
    rows = -(-len(chosen) // columns)
    with plotted(path, rows, columns, height=2.8 * rows, squeeze=False) as (figure, panels):
        for axes in panels.flat[len(chosen) :]:
            axes.remove()
        for axes, (name, values) in zip(panels.flat, chosen, strict=False):
            sns.heatmap(values, vmin=-0.2, vmax=1, cmap="cividis", ax=axes, square=True, rasterized=True, cbar=False)
            ticks = np.arange(0, len(values), max(len(values) // 3, 1))
            seconds = [f"{t * HOP / SAMPLE_RATE:g}" for t in ticks]
            axes.set_xticks(ticks + 0.5, seconds, rotation=0)
            axes.set_yticks(ticks + 0.5, seconds, rotation=0)
            off = values[np.abs(np.subtract.outer(*2 * [np.arange(len(values))])) > 1]
            beside = f", elsewhere {off.mean():.2f}" if off.size else ""
            axes.set_title(f"{short(name)}\nright segment {np.diag(values).mean():.2f}{beside}", fontsize=9)
            axes.set(xlabel="original, s", ylabel="degraded query, s")
        colours = panels.flat[0].collections[0]
        figure.colorbar(colours, ax=panels, location="bottom", label="inner product", shrink=0.5, aspect=30)
