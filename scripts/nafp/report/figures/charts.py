"""Figures for the page: a `Drawing` as a Vega-Lite specification, which shows values, hides curves and zooms by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nafp.files import atomic_write
from nafp.report.figures.colour import GREY
from nafp.report.figures.drawing import DASHED, FLAGS, Axis, Drawing, Panel

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
SHORT = {
    "name": "c",
    "series": "s",
    "line": "l",
    "at": "at",
    "asked": "n",
    "x": "x",
    "y": "y",
    "low": "low",
    "high": "high",
}
LETTERS = {"join": "j", "dot": "d", "open": "o", "cross": "x", "spread": "i", "faint": "f"}
_TEXT = 12.5  # pixels: no text is under 12
CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "padding": 2,
    "view": {"stroke": None, "continuousWidth": 420, "continuousHeight": 230},
    "axis": {
        "labelFontSize": _TEXT,
        "titleFontSize": _TEXT,
        "titleFontWeight": "normal",
        "labelOverlap": True,
        "labelSeparation": 6,  # pixels, so that two numbers are not read as one
        "grid": True,
    },
    "axisY": {"minExtent": 34, "maxExtent": 34, "tickCount": 6, "domain": False, "ticks": False},
    "legend": {
        **{"orient": "bottom", "direction": "vertical", "columns": 1, "title": None, "offset": 8},
        **{"layout": {"bottom": {"direction": "vertical", "anchor": "start"}}, "rowPadding": 4},
        **{"labelFontSize": _TEXT, "labelLimit": 380, "symbolSize": 70, "symbolOpacity": 1},
    },
    "title": {"anchor": "start", "fontSize": _TEXT, "fontWeight": "normal", "frame": "group", "offset": 8},
    "header": {"labelFontSize": _TEXT},
}
_SHAPES = ["circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "triangle-right", "triangle-left"]
_CROWDED = 40  # characters on an axis from which its texts slope
_LEADING = "round(datum.value / pow(10, floor(log(datum.value) / LN10 + 1e-9)))"  # digit of a tick's number
HIDDEN = 0.1  # opacity of what a click on the legend puts aside
_ZOOM = {  # a wheel without a key scrolls the page, and so does a finger; two are a wheel with a key (page/charts.js.j2)
    "type": "interval",
    "translate": "[pointerdown[event.pointerType === 'mouse'], window:pointerup] > window:pointermove!",
    "zoom": "wheel![event.ctrlKey || event.metaKey]",
}


def write_chart(chart: Mapping[str, Any], svg: str | Path) -> None:
    """Store a specification as JSON beside its figure."""
    with atomic_write(beside_of(svg)) as part:
        part.write_text(json.dumps(chart, ensure_ascii=False, separators=(",", ":"), allow_nan=False), encoding="utf-8")


def beside_of(svg: str | Path) -> Path:
    """The specification beside a figure."""
    return Path(svg).with_suffix(".vl.json")


def chart_of(drawing: Drawing) -> dict[str, Any]:
    """The specification of a drawing; ``description`` is its note."""
    shown = [panel for panel in drawing.panels if len(panel.rows)] or drawing.panels[:1]
    panels = [_panel(panel, drawing, number) for number, panel in enumerate(shown)]
    body = panels[0] if len(panels) == 1 else {"concat": panels, "columns": drawing.columns, "spacing": 18}
    return {"$schema": SCHEMA, "description": drawing.note, "config": CONFIG, **body}


def stored(rows: pd.DataFrame) -> dict[str, Any]:
    """Rows of a panel as data and transform of a specification: short names (SHORT), in ``f`` letters (LETTERS) of the flags
    that hold; what is the same all along a curve is stored once a curve."""
    if rows.empty:
        return {"data": {"values": []}, "transform": []}
    table = rows[list(SHORT)].rename(columns=SHORT)
    table["f"] = ["".join(LETTERS[flag] for flag in FLAGS if row[flag]) for row in rows.to_dict("records")]
    table["s"] = pd.factorize(rows["name"].str.cat(rows["series"], sep="\n"))[0]
    constant = [name for name in ("c", "l", "n", "f") if table.groupby("s")[name].nunique().max() == 1]
    series = table.drop_duplicates("s")[["s", *constant]]
    source = {"data": {"values": _records(series)}, "key": "s", "fields": constant}
    values = {"data": {"values": _records(table.drop(columns=constant))}}
    return values | {"transform": [{"lookup": "s", "from": source}]}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows without what is empty."""
    found = []
    for row in table.to_dict("records"):
        kept = {name: value for name, value in row.items() if value == value and value != ""}
        found.append({name: rounded(value) if isinstance(value, float) else value for name, value in kept.items()})
    return found


def rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _panel(panel: Panel, drawing: Drawing, number: int) -> dict[str, Any]:
    is_first, rows = number == 0, panel.rows
    shared = {"x": _place("x", panel.x, rows), "y": _place("y", panel.y, rows), "color": _colour(drawing)}
    shared |= {"opacity": {"condition": {"param": "shown", "value": 1}, "value": HIDDEN}}
    layers: list[dict[str, Any]] = [
        *({"mark": _dotted(), "encoding": {"x": {"datum": x}}} for x in panel.at_x),
        *({"mark": _dotted(), "encoding": {"y": {"datum": y}}} for y in panel.at_y),
    ]
    if (rows["spread"] & rows["low"].notna()).any():
        layers.append(_spread(panel, shared))
    if rows["join"].any() or rows.empty:  # without any row, what the legend is bound to
        layers.append(_lines(panel, drawing, shared))
    if rows["dot"].any():
        layers += _dots(rows, drawing, shared)
    layers.append(_targets(panel, shared))
    layers[-1]["params"] = [{"name": f"zoom_{number}", "select": _ZOOM, "bind": "scales"}]
    if is_first:
        toggle = {"type": "point", "fields": ["c"], "toggle": "true"}
        next(one for one in layers if "color" in one["encoding"])["params"] = [
            {"name": "shown", "select": toggle, "bind": "legend"}
        ]
    height = round(CONFIG["view"]["continuousHeight"] * (1 if len(drawing.panels) == 1 else 0.75))
    title = {"text": panel.y.title}
    return {"title": title, "height": height, **stored(rows), "layer": layers}


def _place(which: str, axis: Axis, rows: pd.DataFrame) -> dict[str, Any]:
    """The encoding of x or y."""
    low, high = axis.domain or _ends(rows, which, axis.log)
    label = "format(datum.value, ',.4~r')"
    if which == "y" and axis.domain:  # room for whole markers at the ends, without numbers there
        label = f"datum.value < {low:g} || datum.value > {high:g} ? '' : {label}"
        low, high = low - 0.025 * (high - low), high + 0.025 * (high - low)
    scale: dict[str, Any] = {"nice": False, "domain": [rounded(low), rounded(high)]}
    scale |= {"type": "log"} if axis.log else {"type": "linear", "zero": False}
    look: dict[str, Any] = {"title": axis.title if which == "x" else None, "labelExpr": label}
    if axis.whole:
        look["tickMinStep"] = 1
    if axis.ticks:
        texts = json.dumps({f"{place:.12g}": text for place, text in axis.ticks.items()})  # all but ASCII is escaped
        look |= {"values": [float(f"{place:.12g}") for place in axis.ticks], "labelExpr": f"{texts}['' + datum.value]"}
        if sum(map(len, axis.ticks.values())) > _CROWDED:
            look |= {"labelAngle": -35, "labelLimit": 120, "labelOverlap": False}
    elif axis.log:
        short = {unit: f"format(datum.value / {size:g}, '~g') + ' {unit}'" for unit, size in (("M", 1e6), ("B", 1e9))}
        label = f"datum.value < 1e6 ? {label} : datum.value < 1e9 ? {short['M']} : {short['B']}"
        look["labelExpr"] = label
        if high > 8 * low:  # Vega's ticks are all digits of all decades
            shown = f"indexof({[1, 2, 5] if high < 300 * low else [1]}, {_LEADING}) >= 0"
            look["labelExpr"] = f"{shown} ? ({label}) : ''"
            faint = {"condition": {"test": shown, "value": 1}, "value": 0}
            look |= {"gridOpacity": faint, "tickOpacity": faint}
    return {"field": which, "type": "quantitative", "scale": scale, "axis": look}


def _ends(rows: pd.DataFrame, which: str, log: bool) -> tuple[float, float]:
    """Ends of an axis that leave room beside its points and their intervals."""
    values = rows[[which, "low", "high"]].stack() if which == "y" else rows["x"]
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 2.0)
    if log:
        margin = max((high / low) ** 0.06, 1.15)
        return low / margin, high * margin
    margin = 0.06 * (high - low) or max(abs(high), 1) / 2
    return low - margin, high + margin


def _colour(drawing: Drawing) -> dict[str, Any]:
    names = [*drawing.colours]
    dotted = any(panel.rows["dot"].any() for panel in drawing.panels)
    legend = {"symbolType": "circle" if dotted else "stroke", "symbolStrokeWidth": 2} if len(names) > 1 else None
    return {
        "field": "c",
        "type": "nominal",
        "scale": {"domain": names, "range": [*drawing.colours.values()]},
        "legend": legend,
    }


def _has(flag: str) -> str:
    """The expression that a row has a flag."""
    return f"indexof(datum.f, '{LETTERS[flag]}') >= 0"


def _dotted() -> dict[str, Any]:
    return {"type": "rule", "color": GREY, "strokeDash": [2, 3]}


def _spread(panel: Panel, shared: Mapping) -> dict[str, Any]:
    """Intervals, as an area or as bars."""
    ends = {"x": shared["x"], "y": {**shared["y"], "field": "low"}, "y2": {"field": "high"}, "color": shared["color"]}
    chosen = [{"filter": f"{_has('spread')} && isValid(datum.low)"}]
    if not panel.band:
        mark = {"type": "rule", "clip": True, "strokeWidth": 1.5}
        return {"transform": chosen, "mark": mark, "encoding": {**ends, "opacity": shared["opacity"]}}
    opacity = {"condition": {"param": "shown", "value": 0.16}, "value": 0.02}
    return {
        "transform": chosen,
        "mark": {"type": "area", "clip": True},
        "encoding": {**ends, "detail": {"field": "s"}, "opacity": opacity},
    }


def _lines(panel: Panel, drawing: Drawing, shared: Mapping) -> dict[str, Any]:
    """Curves through the points, in their order."""
    mark = {"type": "line", "clip": True, "interpolate": "step-after" if panel.steps else "linear"}
    width = {"condition": {"test": _has("faint"), "value": 1}, "value": 2}
    encoding = {**shared, "detail": {"field": "s"}, "strokeWidth": width, "order": {"value": None}}
    if len(drawing.lines) > 1:
        dashes = [[5, 3] if line == DASHED else [1, 0] for line in drawing.lines.values()]
        legend = {"symbolType": "stroke", "symbolStrokeColor": GREY, "symbolSize": 300}
        scale = {"domain": [*drawing.lines], "range": dashes}
        encoding["strokeDash"] = {"field": "l", "type": "nominal", "scale": scale, "legend": legend}
    return {"transform": [{"filter": _has("join")}], "mark": mark, "encoding": encoding}


def _dots(rows: pd.DataFrame, drawing: Drawing, shared: Mapping) -> Sequence[dict[str, Any]]:
    """Markers, full and empty ones, and crosses."""
    names = [*drawing.colours]
    shapes = {"domain": names, "range": [_SHAPES[i % len(_SHAPES)] for i in range(len(names))]}
    shape = {"field": "c", "type": "nominal", "scale": shapes, "legend": shared["color"]["legend"]}
    kinds = {
        f"{_has('dot')} && !({_has('open')})": {"type": "point", "filled": True, "size": 50},
        f"{_has('dot')} && {_has('open')}": {"type": "point", "filled": False, "size": 45, "strokeWidth": 1.8},
        _has("cross"): {"type": "point", "shape": "M-1,-1L1,1M-1,1L1,-1", "size": 60, "strokeWidth": 1.8},
    }
    present = [rows["dot"] & ~rows["open"], rows["dot"] & rows["open"], rows["cross"]]
    return [
        {
            "transform": [{"filter": test}],
            "mark": {**mark, "clip": True},
            "encoding": shared if "shape" in mark else {**shared, "shape": shape},
        }
        for (test, mark), some in zip(kinds.items(), present, strict=True)
        if some.any()
    ]


def _targets(panel: Panel, shared: Mapping) -> dict[str, Any]:
    """Places that show their values when they are pointed at: larger than the markers, and not seen."""
    said = {"c": "", "l": "line", "at": panel.x.title, "y": panel.y.title, "interval": "95 % interval", "n": "n"}
    used = {short for name, short in SHORT.items() if panel.rows[name].astype(str).ne("").any()} | {"at"}
    used |= {"interval"} if panel.rows["low"].notna().any() else set()
    tooltip = [
        {"field": field, "title": title or "configuration", **({"format": ".4~g"} if field == "y" else {})}
        | ({"type": "quantitative"} if field == "y" else {"type": "nominal"})
        for field, title in said.items()
        if field in used
    ]
    interval = "isValid(datum.low) ? format(datum.low, '.1f') + ' to ' + format(datum.high, '.1f') : 'not known'"
    return {
        "transform": [
            {"filter": f"isValid(datum.n) || !({_has('faint')})"},  # a line that only guides the eye says nothing
            {"calculate": interval, "as": "interval"},
            {"calculate": "isValid(datum.at) ? datum.at : format(datum.x, ',.3~r')", "as": "at"},
        ],
        "mark": {"type": "point", "filled": True, "size": 220, "opacity": 0, "clip": True},
        "encoding": {"x": shared["x"], "y": shared["y"], "tooltip": tooltip},
    }
