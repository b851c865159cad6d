"""Pictures for the scoreboard: SVG files that print well, and whose bytes depend on nothing but the data."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import Bbox

from nafp.report.cells import label, pool_seeds, shown_fields

_STYLE = {
    **sns.axes_style("whitegrid"),
    "svg.hashsalt": "nafp",  # the ids inside the file; random without it
    "svg.fonttype": "path",  # the same picture whatever fonts the reader has
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "axes.edgecolor": "0.6",
    "axes.linewidth": 0.8,
    "grid.color": "0.92",
    "text.parse_math": False,  # a run's name may hold a $
}
_MARKERS = "osD^vPX*<>"
_GREY = "0.55"
_LONGEST_NAME = 44
_WIDTH, _HEIGHT = 6.4, 3.3  # inches, without the legend below


def hit_rate_over_length(
    cells: pd.DataFrame, path: str | Path, varied: Sequence[str], published: pd.DataFrame | None = None
) -> None:
    """Draw the top-1 hit rate (%) over the query length (s), one colour per configuration, seeds pooled.

    Exact is solid with its 95 % Wilson interval as a band, near is dashed; with `published`, the paper's curve for N=640,
    d=128 is grey. Writes an SVG to `path`.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        pooled = pool_seeds(cells, keep_seeds="seed" in varied)
        curves = _named(pooled, cells, varied)
        for (name, rows), colour, marker in zip(curves.items(), _colours(len(curves)), _cycle(_MARKERS), strict=False):
            _curve(axes, rows, name, colour, marker)
        if published is not None:
            _paper_curve(axes, published)
        axes.set(xlabel="query length, s", ylabel="top-1 hit rate, %", ylim=(0, 101), xlim=(0, None))
        axes.set_title(f"{_queries(cells)}; band: 95 % interval", loc="left", color="0.35")
        seconds = sorted(cells["seconds"].unique())
        axes.set_xticks(seconds, [f"{s:g}" for s in seconds])
        _legend_of_matches(figure, axes)
        _save(figure, path)


def _named(pooled: pd.DataFrame, cells: pd.DataFrame, varied: Sequence[str]) -> dict[str, pd.DataFrame]:
    fields = shown_fields(cells, varied) or [name for name in ("aug", "bsz", "dim") if name in cells.columns]
    names = np.array([_short(label(row, fields)) or "this run" for row in pooled.to_dict("records")])
    return {name: pooled[names == name] for name in dict.fromkeys(names)}


def _curve(axes: Axes, rows: pd.DataFrame, name: str, colour: tuple, marker: str) -> None:
    exact = rows[rows["match"] == "exact"].sort_values("seconds")
    near = rows[rows["match"] == "near"].sort_values("seconds")
    axes.plot(near["seconds"], near["hit_rate_pct"], color=colour, linestyle=(0, (4, 2)), linewidth=1, alpha=0.9)
    axes.fill_between(exact["seconds"], exact["low_pct"], exact["high_pct"], color=colour, alpha=0.14, linewidth=0)
    style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.6}
    axes.plot(exact["seconds"], exact["hit_rate_pct"], linewidth=1.7, label=name, **style)


def _paper_curve(axes: Axes, published: pd.DataFrame) -> None:
    chosen = published["table"].eq("Table 3") & published["method"].eq("nafp")
    rows = published[chosen & published["batch_size"].eq(640) & published["dim"].eq(128)].sort_values("query_s")
    for match, line in (("near", (0, (4, 2))), ("exact", "-")):
        curve = rows[rows["match"] == match]
        name = "paper (other data set), N=640, d=128" if match == "exact" else None
        axes.plot(
            curve["query_s"], curve["top1_hit_rate_pct"], color=_GREY, linestyle=line, linewidth=1, label=name, zorder=1
        )


def _legend_of_matches(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    solid, dashed = (Line2D([], [], color="0.2", linestyle=line, linewidth=1.3) for line in ("-", (0, (4, 2))))
    handles, names = [*handles, solid, dashed], [*names, "exact", "near (± 1 segment)"]
    _legend(figure, handles, names)


def hit_rate_against_time(cells: pd.DataFrame, path: str | Path) -> None:
    """Draw the exact top-1 hit rate (%) at the shortest query over the time per query (ms), one labelled point per index.

    A marker's area grows with the bytes per fingerprint; its bar is the 95 % Wilson interval. Several runs take a colour
    each. Writes an SVG to `path`. Raises ValueError when no cell has a search time.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure()
        pooled = pool_seeds(cells)
        points = pooled[(pooled["match"] == "exact") & (pooled["seconds"] == pooled["seconds"].min())]
        points = points.dropna(subset=["ms_per_query"])
        if points.empty:
            raise ValueError("no cell has a search time (ms_per_query), so there is nothing to draw")
        points = points.assign(bytes=points["index_bytes"] / points["database_segments"])
        fields = [name for name in shown_fields(cells) if name != "index"]
        points = points.assign(configuration=[_short(label(row, fields)) for row in points.to_dict("records")])
        groups = points.groupby("configuration", sort=False)
        for (name, rows), colour in zip(groups, _colours(groups.ngroups), strict=True):
            _points(axes, rows, name, colour)
        _time_axes(axes, points, cells)
        if groups.ngroups > 1:
            handles, names = axes.get_legend_handles_labels()
            dots = [Line2D([], [], marker="o", linestyle="", color=handle.get_facecolor()[0]) for handle in handles]
            _legend(figure, dots, names)
        _label_points(figure, axes, points)
        _save(figure, path)


def _areas(sizes: pd.Series) -> pd.Series:
    return 25 + 0.35 * sizes.fillna(0)  # points²: 64 bytes are a dot, 512 bytes plainly larger


def _points(axes: Axes, rows: pd.DataFrame, name: str, colour: tuple) -> None:
    spread = [rows["hit_rate_pct"] - rows["low_pct"], rows["high_pct"] - rows["hit_rate_pct"]]
    where = rows["ms_per_query"], rows["hit_rate_pct"]
    axes.errorbar(*where, yerr=np.clip(spread, 0, None), fmt="none", ecolor=colour, elinewidth=0.9, alpha=0.55)
    axes.scatter(*where, s=_areas(rows["bytes"]), color=colour, edgecolor="white", linewidth=0.7, label=name, zorder=3)


def _time_axes(axes: Axes, points: pd.DataFrame, cells: pd.DataFrame) -> None:
    seconds, times = points["seconds"].iloc[0], points["ms_per_query"]
    axes.set(xlabel=f"search time per query of {seconds:g} s, ms", ylabel="top-1 hit rate (exact), %")
    if (times > 0).all():
        axes.set_xscale("log")
        axes.set_xlim(times.min() / 2, times.max() * 2.5)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    note = f"{_queries(cells)}; bar: 95 % interval; label: bytes per fingerprint"
    axes.set_title(note, loc="left", color="0.35")


def _label_points(figure: Figure, axes: Axes, points: pd.DataFrame) -> None:
    """Write each point's name at the first free place around it, with a thin line where that is far away."""
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()
    centres = axes.transData.transform(points[["ms_per_query", "hit_rate_pct"]].to_numpy(dtype=float))
    radii = np.sqrt(_areas(points["bytes"]).to_numpy() / np.pi) * figure.dpi / 72
    taken = [Bbox.from_extents(x - r, y - r, x + r, y + r) for (x, y), r in zip(centres, radii, strict=True)]
    halo = [withStroke(linewidth=2.5, foreground="white")]
    for row, centre, radius in zip(points.to_dict("records"), centres, radii, strict=True):
        size = f" ({row['bytes']:.0f} B)" if np.isfinite(row["bytes"]) else ""
        where = (row["ms_per_query"], row["hit_rate_pct"])
        name = _short(str(row["index"])) + size
        text = axes.annotate(
            name, where, (0, 0), textcoords="offset points", fontsize=9, va="center", path_effects=halo
        )
        width, height = text.get_window_extent(renderer).size
        box, far = _free_place(centre, radius, width, height, taken, axes.bbox)
        taken.append(box)
        shift = np.array([box.x0, (box.y0 + box.y1) / 2]) - centre
        text.set_position(shift * 72 / figure.dpi)
        if far:
            nearest = np.clip(centre, box.min, box.max)
            ends = axes.transData.inverted().transform([centre, nearest])
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
                return box, step > 1
    return first, False


def learning_curves(histories: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Draw the training loss and the validation top-1 hit rate at 1 s over the epochs, one colour per run.

    Each history has the columns epoch, loss and val_top1_1s (percent; NaN or no column where nothing was
    validated). Writes an SVG to `path`.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.85 * _HEIGHT), layout="constrained")
        panels = figure.subplots(1, 2)
        columns = ("loss", "training loss"), ("val_top1_1s", "validation top-1 at 1 s")
        for axes, (column, title) in zip(panels, columns, strict=True):
            for (name, history), colour in zip(histories.items(), _colours(len(histories)), strict=True):
                seen = history.reindex(columns=["epoch", column]).dropna()
                dots = "o" if len(seen) < 30 else ""
                axes.plot(
                    seen["epoch"],
                    seen[column],
                    dots,
                    linestyle="-",
                    color=colour,
                    linewidth=1.5,
                    markersize=3,
                    label=_short(name),
                )
            axes.set(xlabel="epoch", title=title)
            axes.title.set(color="0.35")
            if column != "loss":
                axes.set_ylabel("%")
            axes.xaxis.get_major_locator().set_params(integer=True)
            sns.despine(ax=axes)
        _legend(figure, *panels[0].get_legend_handles_labels())
        _save(figure, path)


def scale(tables: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Draw exact hit rate (%) and milliseconds a query over the number of segments, one colour per index type.

    Each table is one of `nafp.search.scale.predictions`; the shortest and the longest sequences are drawn. The line is the fitted
    trend with its 95 % band, and its open last point is the prediction. Writes an SVG to `path`.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        panels = figure.subplots(1, 2)
        for (name, table), colour in zip(tables.items(), _colours(len(tables)), strict=True):
            for length, line in ((table["length"].max(), (0, (4, 2))), (table["length"].min(), "-")):
                _trend(panels, table[table["length"] == length], f"{name}, {(length + 1) / 2:g} s", colour, line)
        panels[0].set(ylabel="top-1 hit rate (exact), %", ylim=(0, 101))
        panels[1].set(ylabel="search time per query, ms", yscale="log")
        for axes in panels:
            axes.set(xlabel="segments in the database", xscale="log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:g} M")
            axes.xaxis.set_minor_locator(NullLocator())
            sns.despine(ax=axes)
        panels[1].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panels[1].yaxis.set_minor_locator(NullLocator())
        panels[0].set_title("band: 95 %; open: predicted", loc="left", color="0.35")
        _legend(figure, *panels[0].get_legend_handles_labels())
        _save(figure, path)


def _trend(panels: Sequence[Axes], rows: pd.DataFrame, name: str, colour: tuple, line) -> None:
    size, (hit_rate, time) = rows["segments"], panels
    hit_rate.plot(size, rows["fitted"], linestyle=line, color=colour, linewidth=1.4, label=_short(name))
    hit_rate.fill_between(size, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
    hit_rate.plot(size, rows["measured"], "o", color=colour, markersize=4)
    hit_rate.plot(size.iloc[-1:], rows["fitted"].iloc[-1:], "o", color=colour, markerfacecolor="white", markersize=5)
    time.plot(size.iloc[:-1], rows["ms"].iloc[:-1], "o", linestyle=line, color=colour, markersize=4, linewidth=1.4)
    time.plot(size.iloc[-1:], rows["ms"].iloc[-1:], "o", color=colour, markerfacecolor="white", markersize=5)


def _legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put the legend below the axes, and make the figure that much taller."""
    columns = 1 if max(map(len, names), default=0) > 40 else 2
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.2 * -(-len(names) // columns))
    figure.legend(handles, names, loc="outside lower left", ncols=columns, frameon=False, handlelength=2.2)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    sns.despine(ax=axes)
    return figure, axes


def _colours(count: int) -> list[tuple]:
    return sns.color_palette("colorblind", count) if count <= 10 else sns.color_palette("viridis", count)


def _cycle(markers: str) -> Iterable[str]:
    while True:
        yield from markers


def _queries(cells: pd.DataFrame) -> str:
    return "n = " + " or ".join(f"{n:,}" for n in sorted(cells["queries"].unique())) + " queries"


def _short(name: str) -> str:
    name = " ".join(name.split()).lstrip("_")  # a leading underscore hides a name from the legend
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def _save(figure: Figure, path: str | Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
