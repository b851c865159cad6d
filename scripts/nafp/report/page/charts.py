"""Figures on the page: charts that answer the hand, drawn by Vega-Lite, which the page contains."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

import vl_convert
from markupsafe import Markup

from nafp.report.figures.charts import CONFIG

KINDS = ("svg", "png", "pdf")  # files beside the page


class Shown(NamedTuple):
    """A figure: its caption, its ``chart`` (a Vega-Lite specification), and the name, without ending, of its files beside the
    page."""

    caption: str
    chart: Mapping[str, Any]
    name: str = ""


class Charts:
    """The charts of a page, in the order in which they are added."""

    def __init__(self) -> None:
        self.specifications: list[Mapping[str, Any]] = []

    def add(self, figures: Iterable[Shown]) -> list[dict[str, Any]]:
        """What the template shows of figures."""
        return [self._add(figure) for figure in figures]

    def _add(self, figure: Shown) -> dict[str, Any]:
        files = [(kind.upper(), f"{figure.name}.{kind}") for kind in KINDS] if figure.name else []
        shared = {"$schema", "description", *(["config"] if figure.chart.get("config") == CONFIG else [])}
        self.specifications.append({key: value for key, value in figure.chart.items() if key not in shared})
        number, note = len(self.specifications) - 1, figure.chart.get("description", "")
        return {"text": figure.caption, "files": files, "number": number, "note": note}

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
