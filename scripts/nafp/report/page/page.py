"""The HTML page: one file that opens from disk, loads nothing, and escapes all text that comes from data."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nafp.evaluation.metrics import METRICS
from nafp.report.page.charts import Charts
from nafp.report.page.heat import heat_of
from nafp.report.tables.cells import plain
from nafp.report.tables.formats import caption
from nafp.report.tables.ladders import Matrix
from nafp.report.tables.layout import MISSING, Entry, Group, layout
from nafp.report.tables.published import PAPER, RERUN
from nafp.report.tables.study import OURS
from nafp.report.tables.verdict import verdict

ORIGINS = {
    OURS: "measured here",
    PAPER: "as printed in arXiv 2010.11910",
    RERUN: "the original code, as its users reported it",
}


@dataclass(frozen=True)
class Section:
    """One study: its name, question, table (as from `tables.study_table`) and figures (`charts.Shown`, or pairs
    of caption and SVG text).

    ``matrix``: of a study with ladders, whose heat map is shown in the place of the table.
    """

    name: str
    question: str
    table: pd.DataFrame
    figures: Sequence[Sequence] = field(default=())
    matrix: Matrix | None = None

    @property
    def verdict(self) -> str:
        """What the study says; nothing of one with ladders, where the best of several degradations says nothing."""
        return "" if self.matrix else verdict(self.table)


def render_page(
    title: str,
    headline: Sequence[Mapping[str, str]],
    sections: Sequence[Section],
    closer: Sequence[Sequence] = (),
    listening: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    state: str = "",
) -> str:
    """Render the scoreboard as one self-contained HTML document.

    `headline`: as from `headline.headline`. `closer`: figures that belong to no single study, as those of a `Section`.
    `listening`: as from `listening.listen`, with steps (of `listening.chain_steps`), ladders (of `listening.excerpts`), note, and
    names, run -> short name.
    `provenance`: any nesting of mappings, lists and plain values. `state`: a sentence on what is missing.
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
    environment.filters["folded"] = _folded
    charts = Charts()
    studies = [_study(section, number, charts) for number, section in enumerate(sections, start=1)]
    for study in [study for study in studies if study["figures"]][:1]:
        study["hint"] = bool(charts.specifications)
    shown = {match for section in sections for match in section.table["match"]}
    return environment.get_template("page.html.j2").render(
        title=title,
        headline=headline,
        state=state,
        studies=studies,
        meanings={name: METRICS[name].meaning for name in METRICS if name in shown},
        closer=charts.add(closer),
        charts=charts,
        listening=_listening(listening or {}),
        published=any((section.table["source"] != OURS).any() for section in sections),
        provenance=provenance or {},
        origins=ORIGINS,
    )


def _study(section: Section, number: int, charts: Charts) -> dict[str, Any]:
    plan = layout(section.table)
    return {
        "id": f"study-{number}",
        "name": re.sub(r"(?<=[a-z])(?=\d)|_", " ", section.name),
        "question": section.question,
        "verdict": section.verdict,
        "plan": plan,
        "labels": len(plan.blocks[0].groups[0].labels) if plan.blocks else 0,
        "matches": list(dict.fromkeys(section.table["match"])),
        "sources": list(dict.fromkeys(block.source for block in plan.blocks)),
        "caption": caption(section.table),
        "figures": charts.add(section.figures),
        "hint": False,
        "heat": heat_of(section.matrix) if section.matrix else [],
        "files": section.name,
    }


def _listening(listening: Mapping[str, Any]) -> dict[str, Any]:
    """The sound demo for the template: queries as tables of runs x noise levels, and how many each run found."""
    queries, names = listening.get("queries", []), listening.get("names", {})
    levels = [heard["snr_db"] for heard in queries[0]["heard"]] if queries else []
    runs = [answer["run"] for answer in queries[0]["heard"][0]["answers"]] if levels else []
    found = {run: [Counter() for _ in levels] for run in runs}
    for query in queries:
        for column, heard in enumerate(query["heard"]):
            for answer in heard["answers"]:
                found[answer["run"]][column][answer["verdict"]] += 1
    steps = [dict(step, text=_settings(step["settings"])) for step in listening.get("steps", [])]
    return {
        "media": listening.get("media", {}),
        "queries": queries,
        "levels": levels,
        "runs": [(run, names.get(run, run), found[run]) for run in runs],
        "steps": steps,
        "note": listening.get("note", ""),
        "ladders": listening.get("ladders", {}),
    }


def _settings(settings: Mapping[str, Any]) -> str:
    shown = {key: " to ".join(map(plain, v)) if isinstance(v, list) else plain(v) for key, v in settings.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _bind(text: str) -> str:
    return re.sub(r"(?<=\d) (?=(%|s\b|ms\b|dB\b))", "\u00a0", str(text))  # no line break between a number and its unit


def _folded(group: Group, head: Sequence[Entry]) -> str:
    """Text below the first label on a phone, instead of the other columns."""
    others = zip(head[1:], group.labels[1:], strict=False)
    shown = [(name.text, label.text) for name, label in others if label.text != MISSING]
    return ", ".join(text if name == "index" else f"{name} {text}" for name, text in shown)


def _plain(value: Any, inside: bool = False) -> str:
    """A value of the config as YAML would write it on one line, without the outermost brackets."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {_plain(one, True)}" for key, one in value.items())
        return f"{{{text}}}" if inside or not value else text
    if isinstance(value, (list, tuple)):
        text = ", ".join(_plain(one, True) for one in value)
        return f"[{text}]" if inside else text
    return {True: "yes", False: "no", None: "–"}[value] if value is None or isinstance(value, bool) else str(value)
