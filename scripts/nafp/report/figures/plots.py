"""Plots of hit rates: over query length, over a field that a study varies, over epochs and over database size."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from nafp.evaluation import openset
from nafp.report.figures.style import DASHED, GREY, HEIGHT, SOLID, colours, legend, markers, note, plotted, short
from nafp.report.tables.cells import label, pool_seeds, shown_fields, with_intervals

MOST_CURVES = 8  # curves in colour; the others are grey
FALSE_ACCEPTS = np.geomspace(0.001, 1, 301)
AXES = {
    "bsz": "batch size N",
    "dim": "dimensions d of a fingerprint",
    "aug": "augmentation chain",
    "snr_db": "signal-to-noise ratio of the queries, dB",
}


def hit_rate_over_length(
    cells: pd.DataFrame, path: str | Path, varied: Sequence[str], published: pd.DataFrame | None = None
) -> None:
    """Plot the top-1 hit rate (%) over the query length (s), one colour per configuration, seeds pooled.

    Exact is solid with its 95 % interval as a band, near is dashed; with `published`, the paper's curve for N=640,
    d=128 is grey. Of more than MOST_CURVES configurations the best are coloured. Writes an SVG to `path`, and a PNG.
    """
    cells, level = with_a_level(cells)
    with plotted(path) as (figure, axes):
        pooled = pool_seeds(cells[cells["match"].isin(["exact", "near"])], keep_seeds="seed" in varied)
        curves = _named(with_intervals(pooled), cells, varied)
        best = _best(curves)
        for name, rows in _others(curves, best).items():
            _grey_curve(axes, rows, name)
        shown = {name: curves[name] for name in curves if name in best}
        for (name, rows), colour, marker in zip(shown.items(), colours(len(shown)), markers(), strict=False):
            _curve(axes, rows, name, colour, marker)
        if published is not None:
            _paper_curve(axes, published)
        axes.set(xlabel="query length, s", ylabel="top-1 hit rate, %", xlim=(0, None))
        _percent(axes)
        note(axes, f"{_queries(cells)}; band: 95 % interval")
        seconds = sorted(cells["seconds"].unique())
        axes.set_xticks(seconds, [f"{s:g}" for s in seconds])
        _legend_of_lines(figure, axes, ((SOLID, level), (DASHED, "near (± 1 segment)"))[: 2 if level == "exact" else 1])


def with_a_level(cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The cells, and the kind of hits that stands as exact in them: the right song where no place is judged."""
    if cells["match"].eq("exact").any():
        return cells, "exact"
    return cells[cells["match"].eq("song")].assign(match="exact"), "song"


def hit_rate_over(
    cells: pd.DataFrame,
    path: str | Path,
    over: str,
    varied: Sequence[str],
    published: pd.DataFrame | None = None,
    order: Sequence | None = None,
) -> None:
    """Plot the exact top-1 hit rate (%) over one field: a key of AXES.

    A colour per configuration of the other fields; solid at the shortest query, dashed at the longest; bars are 95 %
    intervals. ``order``: values of a field that is not a number. Writes an SVG to `path`, and a PNG.
    """
    cells, level = with_a_level(cells.dropna(subset=[over]))  # query sets without noise have no level
    numeric = pd.api.types.is_numeric_dtype(cells[over])
    order = sorted(cells[over].unique()) if numeric or order is None else [v for v in order if v in set(cells[over])]
    at = {value: value if numeric and over == "snr_db" else i for i, value in enumerate(order)}
    with plotted(path) as (figure, axes):
        pooled = pool_seeds(cells)
        pooled = with_intervals(pooled[pooled["match"].eq("exact")]).assign(x=pooled[over].map(at))
        curves = _named(pooled, cells, varied, leave_out=_of_axis(pooled, over))
        ends = (cells["seconds"].min(), SOLID), (cells["seconds"].max(), DASHED)
        best = _best(curves)
        shown = {name: curves[name] for name in curves if name in best}
        for (name, rows), colour, marker in zip(shown.items(), colours(len(shown)), markers(), strict=False):
            for seconds, line in dict(ends).items():
                ends_of = rows[rows["seconds"] == seconds].sort_values("x")
                spread = [ends_of["hit_rate_pct"] - ends_of["low_pct"], ends_of["high_pct"] - ends_of["hit_rate_pct"]]
                style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5, "capsize": 2.5}
                axes.errorbar(
                    ends_of["x"],
                    ends_of["hit_rate_pct"],
                    np.clip(spread, 0, None),
                    linestyle=line,
                    label=name if line == SOLID else None,
                    **style,
                )
        if published is not None and over in ("bsz", "dim"):
            _paper_over(axes, published, over, at, ends[0][0])
        axes.set(xlabel=AXES[over], ylabel=f"top-1 hit rate ({level}), %")
        _percent(axes)
        ticks = [f"{value:g}" if numeric else short(str(value), 24) for value in at]
        sloping = {"rotation": 30, "ha": "right"} if sum(map(len, ticks)) > 60 else {}
        axes.set_xticks(list(at.values()), ticks, **sloping)
        axes.margins(x=0.08)
        note(axes, f"{_queries(cells)}; bar: 95 % interval")
        lines = [(line, f"queries of {seconds:g} s") for seconds, line in dict(ends).items()]
        _legend_of_lines(figure, axes, lines)


def right_over_false_accepts(cells: pd.DataFrame, path: str | Path, varied: Sequence[str]) -> None:
    """Plot the share of queries (%) answered with the right song, over the share answered though their song is missing.

    Both shares are of answers above a threshold, which varies along the curve; seeds are averaged, one colour per configuration;
    solid at the shortest query, dashed at the longest. Writes an SVG to `path`, and a PNG.
    """
    with plotted(path) as (figure, axes):
        ends = dict.fromkeys([cells["seconds"].min(), cells["seconds"].max()])
        ends = dict(zip(ends, (SOLID, DASHED), strict=False))
        pooled = pool_seeds(cells, keep_seeds="seed" in varied)
        curves = _named(pooled[pooled["match"].eq("open set")], cells, varied)
        best = _best(curves, "open set")
        shown = {name: curves[name] for name in curves if name in best}
        for (name, rows), colour in zip(shown.items(), colours(len(shown)), strict=True):
            for seconds, line in ends.items():
                (tables,) = rows.loc[rows["seconds"] == seconds, "answers"]
                rates = 100 * openset.mean_hit_rates(tables, seconds, FALSE_ACCEPTS)
                where = {"label": name if line == SOLID else None, "drawstyle": "steps-post", "linewidth": 1.6}
                axes.plot(100 * FALSE_ACCEPTS, rates, color=colour, linestyle=line, **where)
        axes.axvline(100 * openset.FALSE_ACCEPTS, color="0.6", linewidth=1, linestyle=":")
        axes.set(
            xlabel="false accepts: queries answered though their song is missing, %", ylabel="right song accepted, %"
        )
        axes.set(xscale="log", xlim=(100 * FALSE_ACCEPTS[0], 100), ylim=(0, 101))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        left_out = len(curves) - len(shown)
        note(axes, _queries(cells) + (f"; {left_out} lower configurations not plotted" if left_out else ""))
        _legend_of_lines(figure, axes, [(line, f"queries of {seconds:g} s") for seconds, line in ends.items()])


def learning_curves(histories: Mapping[str, pd.DataFrame], path: str | Path, queries: int) -> None:
    """Plot the training loss and the validation top-1 hit rate at 1 s over the epochs, one colour per run.

    Each history has the columns epoch, loss and val_top1_1s (percent; NaN or no column where nothing was
    validated), and ``collapsed``: such epochs are crossed out. ``queries``: validation queries, at most. Writes an SVG to `path`,
    and a PNG.
    """
    histories = {name: history.assign(collapsed=history.get("collapsed", False)) for name, history in histories.items()}
    with plotted(path, 2, height=1.4 * HEIGHT, sharex=True) as (figure, panels):
        columns = ("loss", "training loss"), ("val_top1_1s", "validation hit rate, %")
        for axes, (column, title) in zip(panels, columns, strict=True):
            for (name, history), colour in zip(histories.items(), colours(len(histories)), strict=True):
                seen = history.reindex(columns=["epoch", column, "collapsed"]).dropna()
                dots = "o" if len(seen) < 30 else None
                axes.plot(seen["epoch"], seen[column], marker=dots, color=colour, markersize=3, label=short(name))
                crossed = seen[seen["collapsed"]]
                axes.plot(crossed["epoch"], crossed[column], "x", color=colour, markersize=7)
            axes.set_ylabel(title)
            axes.xaxis.get_major_locator().set_params(integer=True)
        note(panels[0], f"n = {len(histories)} runs; validation: top-1 of up to {queries:,} queries of 1 s")
        if any(history["collapsed"].any() for history in histories.values()):
            note(panels[1], "×: collapsed, all fingerprints are alike")
        panels[1].set_xlabel("epoch")
        legend(figure, *panels[0].get_legend_handles_labels())


def scale(tables: Mapping[str, pd.DataFrame], path: str | Path) -> None:
    """Plot exact hit rate (%) and milliseconds a query over the number of segments, one colour per index type.

    Each table is one of `nafp.evaluation.scale.predictions`; the shortest and the longest sequences are plotted. The line is the
    fitted trend with its 95 % band, and its open last point is the prediction. Writes an SVG to `path`, and a PNG.
    """
    with plotted(path, 2, height=1.5 * HEIGHT, sharex=True) as (figure, panels):
        for (name, table), colour in zip(tables.items(), colours(len(tables)), strict=True):
            for length, line in ((table["length"].max(), DASHED), (table["length"].min(), SOLID)):
                _trend(panels, table[table["length"] == length], f"{name}, {(length + 1) / 2:g} s", colour, line)
        panels[0].set(ylabel="top-1 hit rate (exact), %", ylim=(0, 101))
        panels[1].set(ylabel="search time per query, ms", yscale="log")
        panels[1].set(xlabel="segments in the database", xscale="log")
        sizes = pd.concat(list(tables.values()))["segments"]
        subs = (1, 2, 5) if sizes.max() < 300 * sizes.min() else (1,)
        panels[1].xaxis.set_major_locator(LogLocator(subs=subs))
        panels[1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value < 1e6 else f"{value / 1e6:g} M")
        panels[1].xaxis.set_minor_locator(NullLocator())
        panels[1].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panels[1].yaxis.set_minor_locator(NullLocator())
        queries, songs = (max(table[name].max() for table in tables.values()) for name in ("queries", "songs"))
        note(panels[0], f"n = {queries:,} queries in {songs:,} songs; band: 95 % interval; open: predicted")
        legend(figure, *panels[0].get_legend_handles_labels())


def _named(
    pooled: pd.DataFrame, cells: pd.DataFrame, varied: Sequence[str], leave_out: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    fields = shown_fields(cells, varied) or [name for name in ("aug", "bsz", "dim") if name in cells.columns]
    fields = [name for name in fields if name not in leave_out]
    names = np.array([short(label(row, fields)) or "this run" for row in pooled.to_dict("records")])
    return {name: pooled[names == name] for name in dict.fromkeys(names)}


def _of_axis(pooled: pd.DataFrame, over: str) -> list[str]:
    """Fields shown by the x axis: query sets that differ in their level alone are points of one curve."""
    if over != "snr_db":
        return [over]
    rest = [name for name in shown_fields(pooled) if name not in ("query_set", "low_pct", "high_pct", "x")]
    return ["snr_db"] if pooled.duplicated([*rest, "seconds", "snr_db"]).any() else ["snr_db", "query_set"]


def _percent(axes: Axes) -> None:
    """Start the axis of hit rates at 0, or higher where all of them are high, so that they can be told apart."""
    lowest = axes.dataLim.y0
    axes.set_ylim(10 * ((lowest - 2) // 10) if 40 <= lowest <= 100 else 0, 101)


def _best(curves: Mapping[str, pd.DataFrame], match: str = "exact") -> list[str]:
    means = {name: rows.loc[rows["match"] == match, "hit_rate_pct"].mean() for name, rows in curves.items()}
    return sorted(means, key=lambda name: -means[name])[:MOST_CURVES]


def _others(curves: Mapping[str, pd.DataFrame], best: Sequence[str]) -> dict[str | None, pd.DataFrame]:
    """Curves without a colour; the name of the first stands for all of them in the legend."""
    rest = [rows for name, rows in curves.items() if name not in best]
    names = [f"{len(rest)} others", *(f"_{i}" for i in range(1, len(rest)))]
    return dict(zip(names, rest, strict=False))


def _grey_curve(axes: Axes, rows: pd.DataFrame, name: str) -> None:
    exact = rows[rows["match"] == "exact"].sort_values("seconds")
    axes.plot(exact["seconds"], exact["hit_rate_pct"], color="0.8", linewidth=0.8, label=name, zorder=1)


def _curve(axes: Axes, rows: pd.DataFrame, name: str, colour: tuple, marker: str) -> None:
    exact = rows[rows["match"] == "exact"].sort_values("seconds")
    near = rows[rows["match"] == "near"].sort_values("seconds")
    axes.plot(near["seconds"], near["hit_rate_pct"], color=colour, linestyle=DASHED, linewidth=1, alpha=0.9)
    axes.fill_between(exact["seconds"], exact["low_pct"], exact["high_pct"], color=colour, alpha=0.14, linewidth=0)
    style = {"color": colour, "marker": marker, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.6}
    axes.plot(exact["seconds"], exact["hit_rate_pct"], linewidth=1.7, label=name, **style)


def _paper_curve(axes: Axes, published: pd.DataFrame) -> None:
    chosen = published["table"].eq("Table 3") & published["method"].eq("nafp")
    rows = published[chosen & published["batch_size"].eq(640) & published["dim"].eq(128)].sort_values("query_s")
    for match, line in (("near", DASHED), ("exact", SOLID)):
        curve = rows[rows["match"] == match]
        name = "paper (other data set), N=640, d=128" if match == "exact" else None
        where = curve["query_s"], curve["top1_hit_rate_pct"]
        axes.plot(*where, color=GREY, linestyle=line, linewidth=1, label=name, zorder=1)


def _paper_over(axes: Axes, published: pd.DataFrame, over: str, at: Mapping, seconds: float) -> None:
    """The paper's points at values that were measured here too: Table 3 with d=128, or Table 4 with N=640."""
    table, column, rest = ("Table 3", "batch_size", "d=128") if over == "bsz" else ("Table 4", "dim", "N=640")
    rows = published[published["table"].eq(table) & published["method"].eq("nafp") & published["match"].eq("exact")]
    rows = rows[rows["query_s"].eq(seconds) & rows[column].isin(at) & (rows["dim"].eq(128) | (over == "dim"))]
    if len(rows):
        rows = rows.sort_values(column)
        name = f"paper (other data set), {rest}, {seconds:g} s"
        axes.plot(
            rows[column].map(at), rows["top1_hit_rate_pct"], "o-", color=GREY, linewidth=1, markersize=4, label=name
        )


def _legend_of_lines(figure: Figure, axes: Axes, lines: Sequence[tuple]) -> None:
    handles, names = axes.get_legend_handles_labels()
    handles += [Line2D([], [], color="0.2", linestyle=line, linewidth=1.3) for line, _ in lines]
    legend(figure, handles, [*names, *(name for _, name in lines)])


def _trend(panels: Sequence[Axes], rows: pd.DataFrame, name: str, colour: tuple, line) -> None:
    size, (hit_rate, time) = rows["segments"], panels
    hit_rate.plot(size, rows["fitted"], linestyle=line, color=colour, linewidth=1.4, label=short(name))
    hit_rate.fill_between(size, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
    hit_rate.plot(size, rows["measured"], "o", color=colour, markersize=4)
    hit_rate.plot(size.iloc[-1:], rows["fitted"].iloc[-1:], "o", color=colour, markerfacecolor="white", markersize=5)
    time.plot(size.iloc[:-1], rows["ms"].iloc[:-1], "o", linestyle=line, color=colour, markersize=4, linewidth=1.4)
    time.plot(size.iloc[-1:], rows["ms"].iloc[-1:], "o", color=colour, markerfacecolor="white", markersize=5)


def _queries(cells: pd.DataFrame) -> str:
    queries, songs = (" or ".join(f"{n:,}" for n in sorted(cells[name].unique())) for name in ("queries", "songs"))
    return f"n = {queries} queries in {songs} songs"
