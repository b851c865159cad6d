"""Robustness in a picture: a heat map of hit rates by degradation and strength."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from nafp.report.figures.style import plotted, short
from nafp.report.figures.trends import said_of, title_of
from nafp.report.tables.ladders import FEWEST, HALF, Matrix, strength_text

# Darker is more; the hue changes at HALF, so that the limit is seen by colour, and in grey by the step. As on the page.
HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0, "#f7f5ef"), (0.4999, "#f2b880"), (0.5, "#2f77ad"), (1, "#083358")]
)
_NAME = 26  # characters of a configuration's name beside its row
_WIDE = 7.2  # inches


def heat_map(matrix: Matrix, path: str | Path) -> None:
    """Plot hit rates (%) at ``matrix.shown_s`` as numbers and colours: a panel a ladder, a row a configuration.

    The line below a row's cells marks where its rate falls under HALF: a dot, and the 95 % interval. Writes an SVG to `path`, a
    PNG and a PDF.
    """
    names, rates = list(matrix.rates["configuration"].unique()), _shown(matrix.rates, matrix)
    columns = min(2, len(matrix.ladders))
    rows = -(-len(matrix.ladders) // columns)
    height = rows * (0.62 + 0.3 * len(names)) + 0.3
    with plotted(path, rows, columns, width=_WIDE, height=height, squeeze=False) as (figure, panels):
        for axes in panels.flat[len(matrix.ladders) :]:
            axes.remove()
        for axes, ladder in zip(panels.flat, matrix.ladders, strict=False):
            _cells(axes, rates[rates["ladder"] == ladder["name"]], names, list(ladder["sets"].values()))
            _mark_limits(axes, _shown(matrix.limits, matrix), names, ladder)
            axes.set_title(title_of(ladder), loc="left")
            is_first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(
                range(len(names)), [short(name, _NAME) for name in names] if is_first and len(names) > 1 else []
            )
        figure.suptitle(said_of(rates), x=0.01, ha="left", fontsize=9.5, color="0.35")


def _shown(rows: pd.DataFrame, matrix: Matrix) -> pd.DataFrame:
    return rows[rows["query_s"] == matrix.shown_s]


def _cells(axes: Axes, rates: pd.DataFrame, names: list[str], strengths: list) -> None:
    table = rates.pivot(index="configuration", columns="strength", values="hit_rate_pct")
    table = table.reindex(index=names, columns=strengths)
    axes.imshow(table.to_numpy(float), cmap=HEAT, vmin=0, vmax=100, aspect="auto")
    for y, x in np.ndindex(table.shape):
        rate = table.iat[y, x]
        text, colour = ("–", "0.4") if np.isnan(rate) else (f"{rate:.0f}", "white" if rate >= HALF else "0.1")
        axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=9)
    texts = [strength_text(one) for one in strengths]
    size = 8.5 if max(map(len, texts)) < 8 else 7  # long names would touch
    axes.set_xticks(range(len(strengths)), texts, fontsize=size)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, max(len(strengths), FEWEST) - 0.5)
    axes.spines[:].set_color("none")
    axes.grid(False)
    axes.set_xticks(np.arange(0.5, len(strengths) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(names) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)


def _mark_limits(axes: Axes, limits: pd.DataFrame, names: list[str], ladder: Mapping[str, Any]) -> None:
    if not ladder["curve"]:
        return
    strengths = np.array(list(ladder["sets"].values()), float)
    scale = np.log if ladder["scale"] == "log" else np.asarray
    order = np.argsort(strengths)
    for row in limits[limits["ladder"] == ladder["name"]].to_dict("records"):
        for end in ("from", "to"):
            if np.isnan(row[end]):
                continue
            ends = np.clip([row[f"{end}_low"], row[end], row[f"{end}_high"]], strengths.min(), strengths.max())
            low, at, high = np.interp(scale(ends), scale(strengths[order]), np.arange(len(strengths))[order])
            y = names.index(row["configuration"]) + 0.4
            axes.plot([low, high], [y, y], color="black", linewidth=1.2, solid_capstyle="butt")
            axes.plot(at, y, "o", color="black", markersize=3.5)
