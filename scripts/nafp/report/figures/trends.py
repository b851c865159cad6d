"""Curves of numbers other than a study's hit rates: over epochs, over the size of the database, over strengths."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nafp.audio.segments import sequence_seconds
from nafp.grid import CellKey, parse_run
from nafp.report.figures.colour import Palette, configuration_of
from nafp.report.figures.drawing import DASHED, SOLID, Axis, Drawing, Panel, rows_of
from nafp.report.figures.style import short_names
from nafp.report.tables.beyond import METHODS, Beyond, size_text
from nafp.report.tables.ladders import HALF, Matrix, strength_text

FEW_EPOCHS = 30  # epochs up to which each has a marker


def learning_curves(
    histories: Mapping[str, pd.DataFrame], queries: int, colours: Mapping[str, str] | None = None
) -> Drawing:
    """The training loss and the validation top-1 hit rate at 1 s over the epochs, one colour per configuration.

    ``histories``: name -> columns epoch, loss and val_top1_1s (percent; NaN or no column where nothing was validated), and
    ``collapsed``: such epochs are crossed out. ``queries``: validation queries, at most. ``colours``: of the names.
    """
    palette, shown = Palette(), short_names(histories)
    colours = {shown[name]: (colours or {}).get(name) or palette[name] for name in histories}
    histories = {name: history.assign(collapsed=history.get("collapsed", False)) for name, history in histories.items()}
    panels = []
    for column, title, n in (
        ("loss", "training loss", ""),
        ("val_top1_1s", "validation hit rate, %", f"up to {queries:,} queries of 1 s"),
    ):
        parts = [
            _epochs(history.reindex(columns=["epoch", column, "collapsed"]).dropna(), shown[name], column, n)
            for name, history in histories.items()
        ]
        panels.append(Panel(pd.concat(parts, ignore_index=True), Axis("epoch", whole=True), Axis(title)))
    note = f"n = {len(histories)} runs; validation: top-1 of up to {queries:,} queries of 1 s"
    if any(history["collapsed"].any() for history in histories.values()):
        note += "; ×: collapsed, all fingerprints are alike"
    return Drawing(panels, colours, {}, note, shape=(5.4, 2.2))


def _epochs(history: pd.DataFrame, name: str, column: str, asked: str) -> pd.DataFrame:
    at = [f"{epoch:g}" for epoch in history["epoch"]]
    where = {"x": history["epoch"], "y": history[column], "cross": history["collapsed"]}
    return rows_of(name=name, series=name, at=at, asked=asked, **where, dot=len(history) < FEW_EPOCHS)


def scale(tables: Mapping[str, pd.DataFrame], colours: Mapping[str, str] | None = None) -> Drawing:
    """The exact hit rate (%) and milliseconds a query over the number of segments, one colour per index type.

    Each table is one of `nafp.evaluation.scale.predictions`; the shortest and the longest sequences are shown. The line is the
    fitted trend with its 95 % band, and its open last point is the prediction. ``colours``: of the names.
    """
    palette, shown, lines, rates, times = Palette(), short_names(tables), {}, [], []
    for name, table in tables.items():
        for length, line in {table["length"].min(): SOLID, table["length"].max(): DASHED}.items():
            lines[f"queries of {sequence_seconds(length):g} s"] = line
            rows = table[table["length"] == length]
            texts = {"name": shown[name], "line": f"queries of {sequence_seconds(length):g} s"}
            texts |= {"at": [f"{size:,.0f} segments" for size in rows["segments"]]}
            texts |= {
                "asked": [
                    f"{n:,.0f} queries in {s:,} songs" for n, s in zip(rows["queries"], rows["songs"], strict=True)
                ]
            }
            rates += _trend(rows, texts)
            times.append(_times(rows, texts))
    sizes = pd.concat(list(tables.values()))["segments"]
    x = Axis("segments in the database", log=True, domain=(sizes.min() / 1.15, sizes.max() * 1.15))
    hit_rate, time = Axis("top-1 hit rate (exact), %", domain=(0, 100)), Axis("search time per query, ms", log=True)
    panels = [
        Panel(pd.concat(parts, ignore_index=True), x, y, band=True) for parts, y in ((rates, hit_rate), (times, time))
    ]
    queries, songs = (max(table[name].max() for table in tables.values()) for name in ("queries", "songs"))
    note = f"n = {queries:,} queries in {songs:,} songs; band: 95 % interval; open: predicted"
    return Drawing(
        panels,
        {shown[name]: (colours or {}).get(name) or palette[name] for name in tables},
        lines,
        note,
        shape=(5.4, 2.3),
    )


def _trend(rows: pd.DataFrame, texts: Mapping[str, Any]) -> list[pd.DataFrame]:
    """The fitted line with its band and its last point, and the measured points."""
    series = f"{texts['name']}, {texts['line']}"
    last = rows["segments"].eq(rows["segments"].max())
    fitted = {"x": rows["segments"], "y": rows["fitted"], "low": rows["low"], "high": rows["high"]}
    line = rows_of(**texts, series=f"{series}, fitted", **fitted, dot=last, open=last)
    points = rows_of(**texts, series=f"{series}, measured", x=rows["segments"], y=rows["measured"], join=False)
    return [line, points.dropna(subset=["y"])]


def _times(rows: pd.DataFrame, texts: Mapping[str, Any]) -> pd.DataFrame:
    last = rows["segments"].eq(rows["segments"].max())
    series = f"{texts['name']}, {texts['line']}"
    return rows_of(**texts, series=series, x=rows["segments"], y=rows["ms"], join=~last, open=last).dropna(subset=["y"])


def beyond(found: Beyond) -> Drawing:
    """The exact hit rate (%) over the size of the database, far beyond the data, one colour per method that predicts it.

    Queries of the shortest and of the longest length; bands are 95 % intervals, and open points lie beyond the data.
    """
    table, lines, rows = found.predictions, {}, []
    for length, line in {table["length"].min(): SOLID, table["length"].max(): DASHED}.items() if len(table) else ():
        text = f"queries of {sequence_seconds(length):g} s"
        lines[text] = line
        for method in METHODS:
            some = table[(table["length"] == length) & (table["method"] == method)].sort_values("segments")
            texts = {"name": method, "line": text, "series": f"{method}, {text}"}
            texts["at"] = [f"{size_text(size)} segments" for size in some["segments"]]
            places = {
                "x": some["segments"],
                "y": some["hit_rate_pct"],
                "low": some["low_pct"],
                "high": some["high_pct"],
            }
            rows.append(rows_of(**texts, **places, open=some["segments"] > table["segments"].min()))
    palette, shown = Palette(), pd.concat(rows or [rows_of(x=[], y=[])], ignore_index=True)
    x = Axis("segments in the database", log=True, ticks={} if len(shown) else {1.0: "1"})
    panel = Panel(shown, x, Axis("top-1 hit rate (exact), %", domain=(0, 100)), band=True)
    said = "not extrapolated: there are too few songs"
    if len(table):
        queries, songs = (f"{table[name].max():,.0f}" for name in ("queries", "query_songs"))
        said = f"n = {queries} queries in {songs} songs; band: 95 % interval; open: predicted"
    return Drawing([panel], {name: palette[name] for name in METHODS if name in set(shown["name"])}, lines, said)


def strengths(matrix: Matrix, palette: Palette | None = None) -> Drawing:
    """Hit rates (%) at ``matrix.shown_s`` over the strengths of each ladder of numbers.

    A panel a ladder, a colour a configuration. Bars are 95 % intervals, the dotted line is HALF.
    """
    palette = Palette() if palette is None else palette
    rates = matrix.rates[matrix.rates["query_s"] == matrix.shown_s].dropna(subset=["hit_rate_pct"])
    panels, shown = [], short_names(matrix.rates["configuration"])
    for ladder in (one for one in matrix.ladders if one["curve"]):
        rows = rates[rates["ladder"] == ladder["name"]]
        rows = rows.assign(strength=rows["strength"].astype(float)).sort_values("strength", kind="stable")
        unit = f" {ladder['unit']}" if ladder["unit"] else ""
        texts = {
            "name": rows["configuration"].map(shown),
            "series": rows["configuration"],
            "at": [f"{strength_text(one)}{unit}" for one in rows["strength"]],
            "asked": [
                f"{n:,.0f} queries in {s:,.0f} songs" for n, s in zip(rows["queries"], rows["songs"], strict=True)
            ],
        }
        where = {"x": rows["strength"], "y": rows["hit_rate_pct"], "low": rows["low_pct"], "high": rows["high_pct"]}
        ticks = {float(one): strength_text(one) for one in sorted(ladder["sets"].values())}
        x = Axis(title_of(ladder), ticks, _around(list(ticks), ladder["scale"] == "log"), ladder["scale"] == "log")
        y = Axis("hit rate, %", domain=(0, 100))
        panels.append(Panel(rows_of(**texts, **where), x, y, at_y=[HALF]))
    colours = {}
    for name in matrix.rates["configuration"].unique():
        cell = matrix.firsts.get(name, CellKey(name, ""))
        key = configuration_of(cell, parse_run(cell.run), ("seed", "query_set")) if name in matrix.firsts else name
        colours[shown[name]] = palette[key]
    return Drawing(panels, colours, {}, said_of(rates), 2, (2.7, 1.75))


def title_of(ladder: Mapping[str, Any]) -> str:
    """A ladder's title with its unit."""
    return f"{ladder['title']}, {ladder['unit']}" if ladder["unit"] else ladder["title"]


def said_of(rates: pd.DataFrame) -> str:
    """What the rates of a matrix are, and of how many queries."""
    known = rates.dropna(subset=["hit_rate_pct"])
    queries, songs = (
        " to ".join(dict.fromkeys(f"{end:,.0f}" for end in (known[name].min(), known[name].max())))
        for name in ("queries", "songs")
    )
    return f"top-1 hit rate ({rates['match'].iloc[0]}), %; {queries} queries of {rates['query_s'].iloc[0]:g} s in {songs} songs"


def _around(places: list[float], log: bool) -> tuple[float, float]:
    first, last = places[0], places[-1]
    if log:
        margin = (last / first) ** 0.04 if last > first else 1.5
        return first / margin, last * margin
    margin = 0.04 * (last - first) or 1
    return first - margin, last + margin
