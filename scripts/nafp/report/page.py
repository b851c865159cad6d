"""The HTML page: one file that opens from disk, fetches nothing, and escapes everything that came out of data."""

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nafp.report.scoreboard import OURS, best_mask, formatted, is_cost

_LABELS = ("method", "N", "d", "index", "seeds")  # one cell for the exact and the near row of a configuration
_BLOCK = ("source", "comparable")  # the heading of a block of rows, no columns
_WORDS = {"method", "index", "match"}


def render_page(
    title: str,
    headline: Sequence[Mapping[str, str]],
    studies: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> str:
    """Render the scoreboard as one self-contained HTML document.

    `headline`: as from `scoreboard.headline`. `studies`: dicts of name, question (one sentence), table (a frame as from
    `scoreboard.table`), figures (pairs of caption and SVG text) and, if wanted, caption (the line under the table).
    `provenance`: any nesting of mappings, lists and plain values. Raises KeyError for a study without one of its parts.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["mapping_"] = lambda value: isinstance(value, Mapping)
    environment.filters["plain"] = _plain
    environment.filters["bind"] = _bind
    frames = [study["table"] for study in studies]
    return environment.get_template("page.html.j2").render(
        title=title,
        headline=headline,
        studies=[_study(study, number) for number, study in enumerate(studies, start=1)],
        published=any((frame["source"] != OURS).any() for frame in frames),
        comparable=any(frame["comparable"].eq("yes").any() for frame in frames),
        provenance=provenance,
    )


def _study(study: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"study-{number}",
        "name": re.sub(r"(?<=[a-z])(?=\d)|_", " ", study["name"]),
        "question": study["question"],
        "caption": study.get("caption", ""),
        "table": _layout(study["table"]),
        "figures": [(text, _data_uri(svg)) for text, svg in study["figures"]],
    }


def _layout(wide: pd.DataFrame) -> dict[str, Any]:
    """The frame as nested lists for the template: blocks by source, groups by configuration, rows by match."""
    text = formatted(wide)
    columns = [name for name in wide.columns if name not in _BLOCK and (name == "method" or wide[name].notna().any())]
    constant = [name for name in columns if name in _LABELS and _is_constant(wide, name)]
    labels = [name for name in columns if name in _LABELS and name not in constant] or ["method"]
    constant = [name for name in constant if name not in labels]
    costs = [name for name in columns if is_cost(name)]  # the same for exact and near, like the labels
    values = [name for name in columns if name not in labels + costs + constant]
    best = best_mask(wide)
    numbers = range(len(wide))
    blocks = []
    for (source, comparable), block in groupby(numbers, key=lambda i: tuple(text.loc[i, list(_BLOCK)])):
        groups = []
        for _, group in groupby(block, key=lambda i: tuple(text.loc[i, labels + costs])):
            members = list(group)
            first = members[0]
            rows = [[_cell(name, text.loc[i, name], bool(best.loc[i, name])) for name in values] for i in members]
            shared = [_cell(name, text.loc[first, name]) for name in labels + costs]
            groups.append({"labels": shared[: len(labels)], "rows": rows, "costs": shared[len(labels) :]})
        blocks.append({"source": source, "comparable": _comparable(source, comparable), "groups": groups})
    head = [_cell(name, name) for name in labels + values + costs]
    everywhere = [f"{name} {text[name][wide[name].notna()].iloc[0]}" for name in constant]
    return {"head": head, "blocks": blocks, "everywhere": ", ".join(everywhere)}


def _is_constant(wide: pd.DataFrame, name: str) -> bool:
    """Whether all our rows have one value here and no published row has another: then a line of text can say it."""
    ours = wide.loc[wide["source"] == OURS, name]
    return len(ours) > 0 and bool(ours.notna().all()) and wide[name].nunique() == 1


def _cell(name: str, text: str, best: bool = False) -> dict[str, Any]:
    kind = name if name in _WORDS else "cost" if is_cost(name) else "number"
    return {"text": text, "kind": kind, "best": best}


def _comparable(source: str, text: str) -> str:
    if source == OURS:
        return ""
    return text.replace("no:", "not comparable:") if text.startswith("no:") else "comparable"


def _bind(text: str) -> str:
    return re.sub(r"(?<=\d) (?=(%|s\b|ms\b))", "\u00a0", str(text))  # no line break between a number and its unit


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return {True: "yes", False: "no", None: "–"}[value] if value is None or isinstance(value, bool) else str(value)
