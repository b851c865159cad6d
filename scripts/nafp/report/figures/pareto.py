"""Costs of index types: hit rate, search time and size, and which types are Pareto-optimal."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes as Plot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from nafp.report.figures.colour import GREY, Palette
from nafp.report.figures.curves import asked_by, with_a_level
from nafp.report.figures.drawing import Axis, Drawing, Panel, rows_of
from nafp.report.figures.style import HEIGHT, WIDTH, legend, note, plotted, short, short_names
from nafp.report.tables.cells import label, pool_seeds, shown_fields, with_intervals

MOST_LABELS = 24
UNITS = {"ms_per_query": "ms", "bytes": "bytes"}
_RADIUS = 4  # marker radius in points
_RATE = "top-1 hit rate ({}), %"


def index_costs(cells: pd.DataFrame, palette: Palette | None = None) -> tuple[pd.DataFrame, Drawing]:
    """The top-1 hit rate (%) at the shortest query over ms per query, and over bytes per fingerprint on disk.

    Of cells that state a time there, and at the shortest query at which one does. A point an index type, a colour a run, or, of a
    single run, an index type; its bar is the 95 % interval. Filled:
    Pareto-optimal among the types of the same run in hit rate, time and size; the line joins the best hit rates for the time,
    or the size.
    Returns the points, for `draw_costs`, and the drawing. Raises ValueError when no cell has a search time.
    """
    cells, level = with_a_level(cells)
    palette, points = Palette() if palette is None else palette, _points_of(cells).assign(rate=_RATE.format(level))
    by = "configuration" if points["configuration"].nunique() > 1 else "index"
    points = points.assign(name=points[by].map(short_names(points[by])).replace("", "this run"))
    firsts = points.drop_duplicates("name").to_dict("records")
    colours = {row["name"]: palette.of_row(row) for row in firsts}
    asked = (points["queries"] / points["seeds"]).max()
    note = f"n = {asked:,.0f} queries in {points['songs'].max():,} songs; bar: 95 % interval; open: dominated"
    y = Axis(points["rate"].iloc[0])
    titles = {
        "ms_per_query": f"ms per query of {points['seconds'].iloc[0]:g} s",
        "bytes": "bytes per fingerprint on disk",
    }
    panels = []
    for cost, title in titles.items():
        x = Axis(title, log=bool((points[cost].dropna() > 0).all()))
        panels.append(Panel(_rows_of(points.dropna(subset=[cost]), cost), x, y, steps=True))
    return points, Drawing(panels, colours, {}, note, shape=(WIDTH, HEIGHT))


def _rows_of(points: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Rows of a panel: the points, and for each run the line that joins its best ones."""
    points = points.sort_values(cost, kind="stable")
    values = {"x": points[cost], "y": points["hit_rate_pct"], "low": points["low_pct"], "high": points["high_pct"]}
    at = [f"{row['index']}, {row[cost]:,.3g} {UNITS[cost]}" for row in points.to_dict("records")]
    asked = [asked_by(row) for row in points.to_dict("records")]
    dots = rows_of(
        name=points["name"], series=points["name"], at=at, asked=asked, **values, open=points["dominated"], join=False
    )
    runs = points.groupby("configuration", sort=False)
    if runs.ngroups == 1:
        return dots
    fronts = pd.concat([_front(rows, cost).assign(series=f"{number}, best") for number, (_, rows) in enumerate(runs)])
    values = {"x": fronts[cost], "y": fronts["hit_rate_pct"]}
    lines = rows_of(name=fronts["name"], series=fronts["series"], dot=False, faint=True, **values)
    return pd.concat([dots, lines], ignore_index=True)


def _front(points: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Of points in the order of their cost, those that find more than all cheaper ones."""
    best = points["hit_rate_pct"].cummax()
    return points[points["hit_rate_pct"].eq(best) & ~best.duplicated()]


def draw_costs(points: pd.DataFrame, colours: Mapping[str, str], path: str | Path) -> None:
    """Plot points of `index_costs`, each labelled with its index. Writes an SVG to `path`, a PNG and a PDF."""
    several = points["configuration"].nunique() > 1
    with plotted(path, 2, height=1.9 * HEIGHT) as (figure, panels):
        groups = points.groupby("configuration", sort=False)
        for axes, cost in zip(panels, ("ms_per_query", "bytes"), strict=True):
            for _, rows in groups:
                _plot_points(axes, rows, cost, colours)
            _cost_axis(axes, points[cost])
        panels[0].set(xlabel=f"ms per query of {points['seconds'].iloc[0]:g} s", ylabel=points["rate"].iloc[0])
        panels[1].set(xlabel="bytes per fingerprint on disk", ylabel=points["rate"].iloc[0])
        asked = (points["queries"] / points["seeds"]).max()
        note(panels[0], f"n = {asked:,.0f} queries in {points['songs'].max():,} songs; bar: 95 % interval")
        handles = [Line2D([], [], marker="o", linestyle="", color=colour) for colour in colours.values()] * several
        names = list(colours) * several
        kinds = [
            Line2D([], [], marker="o", linestyle="", color="0.3", markerfacecolor=face) for face in ("0.3", "white")
        ]
        legend(figure, [*handles, *kinds], [*names, "Pareto-optimal", "dominated in time, size and hits"])
        if len(points) <= MOST_LABELS:
            for axes, cost in zip(panels, ("ms_per_query", "bytes"), strict=True):
                _label_points(figure, axes, points, cost)


def _points_of(cells: pd.DataFrame) -> pd.DataFrame:
    pooled = pool_seeds(cells)
    timed = pooled[pooled["match"].eq("exact") & pooled["ms_per_query"].notna()]
    if timed.empty:
        raise ValueError("no cell has a search time (ms_per_query), so there is nothing to plot")
    points = with_intervals(timed[timed["seconds"] == timed["seconds"].min()])
    fields = [name for name in shown_fields(cells) if name != "index"]
    names = [label(row, fields) for row in points.to_dict("records")]
    points = points.assign(bytes=points["index_bytes"] / points["fingerprints"], configuration=names)
    groups = points.groupby("configuration", sort=False)
    return points.assign(dominated=pd.concat([dominated(rows) for _, rows in groups]))


def dominated(points: pd.DataFrame) -> pd.Series:
    """True where another point is at least as good in hit rate, ms_per_query and bytes, and better in one of them.

    An unknown size (NaN) counts as neither better nor worse, on either side.
    """
    costs = np.stack([-points["hit_rate_pct"], points["ms_per_query"], points["bytes"]]).T.astype(float)
    one, other = costs[:, None], costs[None]
    no_worse = ((one <= other) | np.isnan(one) | np.isnan(other)).all(axis=2)
    better = (one < other).any(axis=2)
    return pd.Series((no_worse & better).any(axis=0), index=points.index)


def _plot_points(axes: Plot, rows: pd.DataFrame, cost: str, colours: Mapping[str, str]) -> None:
    rows = rows.dropna(subset=[cost]).sort_values(cost)
    edges = [colours[name] for name in rows["name"]]
    spread = [rows["hit_rate_pct"] - rows["low_pct"], rows["high_pct"] - rows["hit_rate_pct"]]
    where = rows[cost], rows["hit_rate_pct"]
    axes.errorbar(*where, yerr=np.clip(spread, 0, None), fmt="none", ecolor=edges, elinewidth=0.9, alpha=0.3)
    front, line = _front(rows, cost), edges[0] if len(set(edges)) == 1 else GREY
    axes.step(front[cost], front["hit_rate_pct"], where="post", color=line, linewidth=1, alpha=0.6, zorder=2)
    faces = ["white" if is_dominated else edge for is_dominated, edge in zip(rows["dominated"], edges, strict=True)]
    style = {"s": (2 * _RADIUS) ** 2, "c": faces, "edgecolor": edges, "linewidth": 1.2, "zorder": 3}
    axes.scatter(*where, **style, clip_on=False)


def _cost_axis(axes: Plot, values: pd.Series) -> None:
    known = values.dropna()
    if len(known) and (known > 0).all():
        axes.set_xscale("log")
        axes.set_xlim(known.min() / 1.7, known.max() * 3)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if known.max() < 40 * known.min() else (1,)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _label_points(figure: Figure, axes: Plot, points: pd.DataFrame, cost: str) -> None:
    """Write each point's index at the first free place around it, with a thin line where that is far away."""
    points = points.dropna(subset=[cost])
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    centres = axes.transData.transform(points[[cost, "hit_rate_pct"]].to_numpy(dtype=float))
    radius = _RADIUS * figure.dpi / 72
    taken = [Bbox.from_extents(x - radius, y - radius, x + radius, y + radius) for x, y in centres]
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for row, centre in zip(points.to_dict("records"), centres, strict=True):
        where = row[cost], row["hit_rate_pct"]
        text = axes.annotate(
            short(str(row["index"])),
            where,
            (0, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="center",
            path_effects=halo,
        )
        width, height = text.get_window_extent(renderer).size
        box, far = _free_place(centre, radius, width, height, taken, axes.bbox)
        taken.append(box)
        text.set_position((np.array([box.x0, (box.y0 + box.y1) / 2]) - centre) * 72 / figure.dpi)
        if far:
            ends = axes.transData.inverted().transform([centre, np.clip(centre, box.min, box.max)])
            axes.plot(*ends.T, color="0.55", linewidth=0.6, zorder=2)


def _free_place(
    centre: np.ndarray, radius: float, width: float, height: float, taken: list[Bbox], inside: Bbox
) -> tuple[Bbox, bool]:
    x, y = centre
    first = None
    for step in range(16):
        gap = radius + 3 + step * height * 0.6
        places = [
            (x + gap, y - height / 2),
            (x - gap - width, y - height / 2),
            (x - width / 2, y + gap),
            (x - width / 2, y - gap - height),
            (x + gap, y + gap / 2),
            (x + gap, y - gap / 2 - height),
            (x - gap - width, y + gap / 2),
            (x - gap - width, y - gap / 2 - height),
        ]
        for left, bottom in places:
            box = Bbox.from_bounds(left, bottom, width, height)
            first = first or box
            within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
            if within and not box.count_overlaps(taken):
                return box, step > 0
    return first, False
