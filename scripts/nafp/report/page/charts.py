"""Figures on the page: charts that answer the hand, drawn by Vega-Lite, which the page contains; else pictures."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import vl_convert
from markupsafe import Markup

from nafp.report.figures.charts import CONFIG

KINDS = ("svg", "png", "pdf")  # files beside the page


class Shown(NamedTuple):
    """A figure: its caption, the SVG that is shown where there is no ``chart`` (a Vega-Lite specification), and the name, without
    ending, of its files beside the page."""

    caption: str
    svg: str
    chart: Mapping[str, Any] | None = None
    name: str = ""


class Charts:
    """The charts of a page, in the order in which they are added."""

    def __init__(self) -> None:
        self.specifications: list[Mapping[str, Any]] = []

    def add(self, figures: Iterable[Sequence]) -> list[dict[str, Any]]:
        """What the template shows of figures, each a `Shown` or its first fields."""
        return [self._add(Shown(*figure)) for figure in figures]

    def _add(self, figure: Shown) -> dict[str, Any]:
        files = [(kind.upper(), f"{figure.name}.{kind}") for kind in KINDS] if figure.name else []
        shown = {"text": figure.caption, "files": files, "number": None, "uri": "", "note": ""}
        if figure.chart is None:
            return shown | {"uri": data_uri(figure.svg)}
        shared = {"$schema", "description", *(["config"] if figure.chart.get("config") == CONFIG else [])}
        self.specifications.append({key: value for key, value in figure.chart.items() if key not in shared})
        return shown | {"number": len(self.specifications) - 1, "note": figure.chart.get("description", "")}

    @property
    def library(self) -> Markup:
        """Vega-Lite with all that it needs; nothing if there is no chart."""
        return Markup(library() if self.specifications else "")

    @property
    def data(self) -> Markup:
        """The specifications as a script may hold them."""
        return script_json(self.specifications)

    @property
    def config(self) -> Markup:
        """The look that they share."""
        return script_json(CONFIG)


@cache
def library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script, whose names are its own."""
    return f"(() => {{ {vl_convert.javascript_bundle()} }})();"


def script_json(value: Any) -> Markup:
    """JSON that neither ends a script nor begins a comment in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def data_uri(svg: str) -> str:
    """An SVG as a source of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")
