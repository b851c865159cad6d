"""Similarity matrices: inner products of the queries of one song and its segments."""

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from PIL import Image

from nafp.audio.segments import HOP, SAMPLE_RATE, count_segments
from nafp.evaluation.asked import Asked
from nafp.report.figures.other_charts import pictures_of
from nafp.report.figures.style import plotted, short

MOST_SEGMENTS, MOST_RUNS = 59, 4
LOW, HIGH, SHADES = -0.2, 1, "cividis"


def pairs(songs: pd.DataFrame, queries: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Segments of the first query clip with most of them, MOST_SEGMENTS at most, and the right segments of its song, (n,) each.

    ``songs``, ``queries``: tables of clips. UserError if it is not known where in their songs the queries are.
    """
    asked = Asked.of(songs, queries, {"test_ids": "all", "protocol": "clip", "lengths": [1], "seed": 0})
    asked.require_places("similarity")
    segments = count_segments(queries["samples"])
    counts = segments.clip(max=MOST_SEGMENTS)
    chosen = counts.argmax()
    first = segments[:chosen].sum()
    rows = slice(first, first + counts[chosen])
    return asked.starts[rows], asked.right[rows]


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
