"""Robustness in pictures: a heat map of hit rates by degradation and strength, and the same as curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import NullLocator

from nafp.report.figures.style import colours, legend, markers, note, plotted, short
from nafp.report.tables.ladders import FEWEST, HALF, Matrix, strength_text

# Darker is more; the hue changes at HALF, so that the limit is seen by colour, and in grey by the step. As on the page.
HEAT = LinearSegmentedColormap.from_list(
    "heat", [(0, "#f7f5ef"), (0.4999, "#f2b880"), (0.5, "#2f77ad"), (1, "#083358")]
)
_NAME = 26  # characters of a configuration's name beside its row
_WIDE = 7.2  # inches
_APART = 0.09  # of the axis between two numbers on it


def heat_map(matrix: Matrix, path: str | Path) -> None:
    """Plot hit rates (%) at ``matrix.shown_s`` as numbers and colours: a panel a ladder, a row a configuration.

    The line below a row's cells marks where its rate falls under HALF: a dot, and the 95 % interval. Writes an SVG to `path`, and
    a PNG.
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
            axes.set_title(_title(ladder), loc="left")
            is_first = axes.get_subplotspec().is_first_col()
            axes.set_yticks(
                range(len(names)), [short(name, _NAME) for name in names] if is_first and len(names) > 1 else []
            )
        figure.suptitle(_said(rates), x=0.01, ha="left", fontsize=9.5, color="0.35")


def curves(matrix: Matrix, path: str | Path) -> None:
    """Plot hit rates (%) at ``matrix.shown_s`` over the strengths of each ladder of numbers: a colour a configuration.

    Bars are 95 % intervals, the dotted line is HALF. Writes an SVG to `path`, and a PNG.
    """
    ladders = [ladder for ladder in matrix.ladders if ladder["curve"]]
    names, rates = list(matrix.rates["configuration"].unique()), _shown(matrix.rates, matrix)
    columns = min(2, len(ladders))
    rows = -(-len(ladders) // columns)
    with plotted(path, rows, columns, height=0.4 + 1.75 * rows, squeeze=False, sharey=True) as (figure, panels):
        for axes in panels.flat[len(ladders) :]:
            axes.remove()
        for axes, ladder in zip(panels.flat, ladders, strict=False):
            some = rates[rates["ladder"] == ladder["name"]].dropna(subset=["hit_rate_pct"])
            for name, colour, marker in zip(names, colours(len(names)), markers(), strict=False):
                line = some[some["configuration"] == name]
                line = line.assign(strength=line["strength"].astype(float)).sort_values("strength")
                spread = [line["hit_rate_pct"] - line["low_pct"], line["high_pct"] - line["hit_rate_pct"]]
                style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.4, "capsize": 2}
                where = line["strength"], line["hit_rate_pct"]
                axes.errorbar(*where, np.clip(spread, 0, None), label=short(name), **style)
            axes.axhline(HALF, color="0.6", linewidth=1, linestyle=":")
            axes.set(xscale=ladder["scale"], ylim=(0, 101))
            axes.set_xlabel(_title(ladder), fontsize=9)
            axes.xaxis.set_minor_locator(NullLocator())
            ticks = _ticks(sorted(ladder["sets"].values()), ladder["scale"])
            axes.set_xticks(ticks, map(strength_text, ticks), fontsize=8)
        for axes in panels[:, 0]:
            axes.set_ylabel("hit rate, %")
        note(panels.flat[0], _said(rates))
        if len(names) > 1:
            legend(figure, *panels.flat[0].get_legend_handles_labels())


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
    axes.set_xticks(range(len(strengths)), [strength_text(one) for one in strengths], fontsize=8.5)
    axes.tick_params(length=0)
    axes.set_xlim(-0.5, max(len(strengths), FEWEST) - 0.5)
    axes.spines[:].set_color("none")
    axes.grid(False)
    axes.set_xticks(np.arange(0.5, len(strengths) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(names) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)


def _ticks(strengths: list[float], scale: str) -> list[float]:
    """The strengths, without those whose numbers would overlap that of the one before."""
    at = np.log(strengths) if scale == "log" else np.array(strengths)
    kept = [0]
    for i in range(1, len(at)):
        if at[i] - at[kept[-1]] >= _APART * (at[-1] - at[0]):
            kept.append(i)
    return [strengths[i] for i in kept]


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


def _title(ladder: Mapping[str, Any]) -> str:
    return f"{ladder['title']}, {ladder['unit']}" if ladder["unit"] else ladder["title"]


def _said(rates: pd.DataFrame) -> str:
    known = rates.dropna(subset=["hit_rate_pct"])
    queries, songs = (
        " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (known[name].min(), known[name].max())))
        for name in ("queries", "songs")
    )
    return f"top-1 hit rate ({rates['match'].iloc[0]}), %; {queries} queries of {rates['query_s'].iloc[0]:g} s in {songs} songs"
