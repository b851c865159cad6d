"""Similarity matrices: inner products of the queries of one song and its segments."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.report.figures.other_charts import pictures_of
from nafp.report.figures.style import plotted, short

MOST_SEGMENTS, MOST_RUNS = 59, 4
LOW, HIGH, SHADES = -0.2, 1, "cividis"


def matrix(db: np.ndarray, query: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """(n, n) inner products of the queries (rows) and the segments of the first clip with most of them.

    ``db``, ``query``: (segments, d) fingerprints of the test split; ``clips``: (segments,) the clip of each.
    """
    counts = np.bincount(clips).clip(max=MOST_SEGMENTS)
    rows = np.flatnonzero(clips == counts.argmax())[:MOST_SEGMENTS]
    return query[rows] @ db[rows].T


def plot_matrices(matrices: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Plot the first MOST_RUNS matrices, two in a row, on one scale. Writes an SVG to `path`, a PNG and a PDF."""
    chosen = list(matrices.items())[:MOST_RUNS]
    columns = min(len(chosen), 2)
    rows = -(-len(chosen) // columns)
    with plotted(path, rows, columns, height=2.8 * rows, squeeze=False) as (figure, panels):
        for axes in panels.flat[len(chosen) :]:
            axes.remove()
        for axes, (name, values) in zip(panels.flat, chosen, strict=False):
            axes.pcolormesh(values, vmin=LOW, vmax=HIGH, cmap=SHADES, rasterized=True)
            axes.set_aspect("equal")
            axes.invert_yaxis()
            ticks = np.arange(0, len(values), max(len(values) // 3, 1))
            seconds = [f"{t * HOP / SAMPLE_RATE:g}" for t in ticks]
            axes.set_xticks(ticks + 0.5, seconds, rotation=0)
            axes.set_yticks(ticks + 0.5, seconds, rotation=0)
            axes.set_title("\n".join(_titles(name, values)), fontsize=9)
            axes.set(xlabel="original, s", ylabel="degraded query, s")
        colours = panels.flat[0].collections[0]
        figure.colorbar(colours, ax=figure.axes, location="bottom", label="inner product", shrink=0.5, aspect=30)


def chart_of_matrices(matrices: Mapping[str, np.ndarray]) -> dict:
    """The specification of the same for the page (`other_charts.pictures_of`)."""
    pictures = []
    for name, values in list(matrices.items())[:MOST_RUNS]:
        shades = colormaps[SHADES](np.clip((values - LOW) / (HIGH - LOW), 0, 1), bytes=True)[..., :3]
        file = io.BytesIO()
        Image.fromarray(shades).save(file, format="PNG", optimize=True)
        uri = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
        pictures.append((_titles(name, values), uri, len(values) * HOP / SAMPLE_RATE))
    note = f"inner products from {LOW:g} (dark) to {HIGH:g} (bright)".replace("-", "\N{MINUS SIGN}")
    return pictures_of(pictures, "original, s", "degraded query, s", note)


def _titles(name: str, values: np.ndarray) -> list[str]:
    off = values[np.abs(np.subtract.outer(*2 * [np.arange(len(values))])) > 1]
    beside = f", elsewhere {off.mean():.2f}" if off.size else ""
    return [short(name), f"right segment {np.diag(values).mean():.2f}{beside}"]
