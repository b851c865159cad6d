"""Figures for papers and slides: a `Drawing` by Matplotlib, as SVG, PNG and PDF."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from nafp.report.figures.drawing import DASHED, SOLID, Axis, Drawing, Panel
from nafp.report.figures.style import legend, markers, note, plotted

STYLES = {SOLID: "-", DASHED: (0, (4, 2))}
_APART = 0.09  # of the axis between two numbers on it
_LONG = 76  # characters of a note in one line
_CROWDED = 60  # characters on an axis from which its texts slope


def draw(drawing: Drawing, path: str | Path) -> None:
    """Write a drawing as SVG to ``path``, as PNG and PDF beside it."""
    columns = min(drawing.columns, len(drawing.panels))
    rows = -(-len(drawing.panels) // columns)
    width, height = drawing.shape[0] * columns, drawing.shape[1] * rows
    with plotted(path, rows, columns, width=width, height=height, squeeze=False) as (figure, panels):
        for axes in panels.flat[len(drawing.panels) :]:
            axes.remove()
        for axes, panel in zip(panels.flat, drawing.panels, strict=False):
            _panel(axes, panel, drawing)
            if not axes.get_subplotspec().is_first_col():
                axes.set_ylabel("")
        note(panels.flat[0], _folded(drawing.note))
        handles = [_entry(drawing, name, marker) for name, marker in zip(drawing.colours, markers(), strict=False)]
        handles = handles if len(handles) > 1 or drawing.lines else []
        lines = drawing.lines if len(drawing.lines) > 1 else {}
        handles += [Line2D([], [], color="0.2", linestyle=STYLES[line], linewidth=1.3) for line in lines.values()]
        if handles:
            legend(figure, handles, [*list(drawing.colours)[: len(handles) - len(lines)], *lines])


def _panel(axes: Axes, panel: Panel, drawing: Drawing) -> None:
    for x in panel.at_x:
        axes.axvline(x, color="0.6", linewidth=1, linestyle=":")
    for y in panel.at_y:
        axes.axhline(y, color="0.6", linewidth=1, linestyle=":")
    marked = dict(zip(drawing.colours, markers(), strict=False))
    for (name, _), rows in panel.rows.groupby(["name", "series"], sort=False):
        style = STYLES[drawing.lines.get(rows["line"].iloc[0], SOLID)]
        _curve(axes, rows, panel, drawing.colours[name], style, marked[name])
    axes.set(xlabel=panel.x.title, ylabel=panel.y.title)
    _axis(axes, panel.x, "x")
    _axis(axes, panel.y, "y")


def _curve(axes: Axes, rows: pd.DataFrame, panel: Panel, colour: str, style: str | tuple, marker: str) -> None:
    faint = rows["faint"].iloc[0]
    spread = rows[rows["spread"] & rows["low"].notna()]
    if panel.band:
        axes.fill_between(spread["x"], spread["low"], spread["high"], color=colour, alpha=0.14, linewidth=0)
    elif len(spread):
        bars = np.clip([spread["y"] - spread["low"], spread["high"] - spread["y"]], 0, None)
        where = spread["x"], spread["y"]
        axes.errorbar(*where, bars, fmt="none", ecolor=colour, elinewidth=1.2, capsize=2.5, clip_on=False)
    joined = rows[rows["join"]]
    steps = "steps-post" if panel.steps else "default"
    line = {"color": colour, "linestyle": style, "drawstyle": steps, "linewidth": 0.9 if faint else 1.5}
    axes.plot(joined["x"], joined["y"], zorder=1.5 if faint else 2, **line)
    for is_open, some in rows[rows["dot"]].groupby("open"):
        dots = {"marker": marker, "markersize": 3.5 if faint else 4.5, "color": colour}
        dots |= {"markerfacecolor": "white"} if is_open else {"markeredgecolor": "white", "markeredgewidth": 0.6}
        axes.plot(some["x"], some["y"], linestyle="", clip_on=False, zorder=3, **dots)  # whole at the ends of the axes
    if rows["cross"].any():
        crossed = rows[rows["cross"]]
        axes.plot(crossed["x"], crossed["y"], "x", color=colour, markersize=7, clip_on=False, zorder=3)


def _axis(axes: Axes, axis: Axis, which: str) -> None:
    one = getattr(axes, f"{which}axis")
    set_limits, set_scale = getattr(axes, f"set_{which}lim"), getattr(axes, f"set_{which}scale")
    if axis.log:
        set_scale("log")
    if axis.domain:
        set_limits(*axis.domain)
    if axis.ticks:
        shown = _apart(axis.ticks, axis.log)
        sloping = {"rotation": 30, "ha": "right"} if sum(map(len, shown.values())) > _CROWDED else {}
        getattr(axes, f"set_{which}ticks")(list(shown), list(shown.values()), **sloping)
    elif axis.log:
        ends = axes.get_xlim() if which == "x" else axes.get_ylim()
        one.set_major_locator(LogLocator(subs=(1, 2, 5) if ends[1] < 300 * ends[0] else (1,)))
        one.set_major_formatter(lambda value, _: number_text(value))
    elif axis.whole:
        one.set_major_locator(MaxNLocator("auto", integer=True))
    one.set_minor_locator(NullLocator())


def number_text(value: float) -> str:
    """A number on an axis of ratios, as the page's charts have it: 100,000, then millions (M) and billions (B)."""
    for unit, size in (("B", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:,.6g}"


def _apart(ticks: Mapping[float, str], log: bool) -> dict[float, str]:
    """The ticks, without those whose texts would overlap that of the one before."""
    places = list(ticks)
    at = np.log(places) if log else np.array(places)
    kept = [0]
    for i in range(1, len(at)):
        if at[i] - at[kept[-1]] >= _APART * (at[-1] - at[0]):
            kept.append(i)
    return {places[i]: ticks[places[i]] for i in kept}


def _folded(text: str) -> str:
    """A note in two lines, if it is long and has two parts."""
    first, mark, last = text.rpartition("; ")
    return f"{first}\n{last}" if mark and len(text) > _LONG else text


def _entry(drawing: Drawing, name: str, marker: str) -> Line2D:
    """What stands beside a name in the legend."""
    rows = pd.concat([panel.rows[panel.rows["name"] == name] for panel in drawing.panels])
    style = {"color": drawing.colours[name], "linestyle": "-" if rows["join"].any() else ""}
    shown = {"marker": marker, "markersize": 4.5} if rows["dot"].any() else {}
    return Line2D([], [], linewidth=0.9 if rows["faint"].any() else 1.5, **style, **shown)
