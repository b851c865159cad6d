"""Charts without curves: stacked bars, and pictures with axes."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nafp.report.figures.charts import CONFIG, HIDDEN, SCHEMA, rounded

_SQUARE = 260  # pixels of a picture's side


def bars_of(counts: pd.DataFrame, colours: Mapping[str, str], title: str, note: str) -> dict[str, Any]:
    """The specification of stacked bars of shares (%). ``counts``: a row a bar, a column a part; ``colours``: of the parts."""
    shares = 100 * counts.div(counts.sum(axis=1), axis=0)
    values = [
        {
            "c": name,
            "part": part,
            "order": number,
            "y": rounded(shares.at[name, part]),
            "n": int(counts.at[name, part]),
        }
        for name in counts.index
        for number, part in enumerate(colours)
        if counts.at[name, part]
    ]
    used = [part for part in colours if counts[part].any()]
    told = [
        *({"field": field, "type": "nominal", "title": said} for field, said in (("c", "run"), ("part", "answer"))),
        {"field": "y", "type": "quantitative", "title": "%", "format": ".1f"},
        {"field": "n", "type": "quantitative", "title": "queries"},
    ]
    scale = {"domain": used, "range": [colours[part] for part in used]}
    encoding = {
        "x": {"field": "y", "type": "quantitative", "scale": {"domain": [0, 100]}, "title": title},
        "color": {"field": "part", "type": "nominal", "scale": scale, "legend": {"symbolType": "square"}},
        "order": {"field": "order", "type": "quantitative"},
        "opacity": {"condition": {"param": "shown", "value": 1}, "value": HIDDEN},
        "tooltip": told,
    }
    toggle = {"type": "point", "fields": ["part"], "toggle": "true"}
    header = {"title": None, "labelOrient": "top", "labelAnchor": "start", "labelAngle": 0, "labelPadding": 3}
    bar = {"mark": {"type": "bar", "height": 20}, "height": 22, "encoding": encoding}
    return {
        **{"$schema": SCHEMA, "description": note, "config": CONFIG, "data": {"values": values}, "spacing": 6},
        "facet": {"row": {"field": "c", "type": "nominal", "sort": [*counts.index], "header": header}},
        "spec": {**bar, "params": [{"name": "shown", "select": toggle, "bind": "legend"}]},
    }


def pictures_of(pictures: Sequence[tuple[Sequence[str], str, float]], x: str, y: str, note: str) -> dict[str, Any]:
    """The specification of square pictures with axes from 0, the first row on top.

    ``pictures``: lines of the title, data URI, length of a side. ``x``, ``y``: titles of the axes.
    """
    panels = []
    for title, uri, side in pictures:
        axes = {
            name: {"field": name, "type": "quantitative", "title": said, "scale": {"domain": ends, "nice": False}}
            for name, said, ends in (("x", x, [0, side]), ("y", y, [side, 0]))
        }
        encoding = {**axes, "x2": {"field": "x2"}, "y2": {"field": "y2"}, "url": {"field": "uri"}}
        row = {"x": 0, "y": 0, "x2": side, "y2": side, "uri": uri}
        mark = {"type": "image", "aspect": False, "smooth": False}
        panels.append({"title": {"text": [*title]}, "data": {"values": [row]}, "mark": mark, "encoding": encoding})
        panels[-1] |= {"width": _SQUARE, "height": _SQUARE}
    config = {**CONFIG, "axisY": {**CONFIG["axisY"], "titleAngle": 270}}
    return {"$schema": SCHEMA, "description": note, "config": config, "concat": panels, "columns": 2}
