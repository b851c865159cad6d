"""The HTML page: one file that opens from disk, loads nothing, and escapes all text that comes from data."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nafp.evaluation.metrics import METRICS, said
from nafp.report.page.beyond import beyond_of
from nafp.report.page.charts import Charts, Shown
from nafp.report.page.heat import heat_of
from nafp.report.page.legend import settings_text
from nafp.report.page.links import RunLinks, numbers_of
from nafp.report.page.made import Made
from nafp.report.page.misses import missed_of
from nafp.report.tables.beyond import Beyond
from nafp.report.tables.formats import caption
from nafp.report.tables.ladders import Matrix
from nafp.report.tables.layout import MISSING, Entry, Group, Layout, layout
from nafp.report.tables.published import PAPER, RERUN
from nafp.report.tables.study import OURS
from nafp.report.tables.verdict import verdict

ORIGINS = {
    OURS: "measured here",
    PAPER: "as printed in arXiv 2010.11910",
    RERUN: "the original code, as its users reported it",
}

PARTS = (
    "closer",
    "beyond",
    "misses",
    "songs",
    "listen",
    "steps",
    "comparable",
    "files",
    "provenance",
)  # anchors of the page's other sections


@dataclass(frozen=True)
class Top:
    """What the page begins with, as of `done.what_was_done`, `headline.headline` and `headline.winner`."""

    done: str = ""
    figures: Sequence[Mapping[str, str]] = ()
    winner: str = ""


@dataclass(frozen=True)
class Section:
    """One study: its name, question, table (as from `study.study_table`) and figures.

    ``matrix``: of a study with ladders, whose heat map is shown in the place of the table.
    """

    name: str
    question: str
    table: pd.DataFrame
    figures: Sequence[Shown] = ()
    matrix: Matrix | None = None

    @property
    def verdict(self) -> str:
        """What the study says; nothing of one with ladders, where the best of several degradations says nothing."""
        return "" if self.matrix else verdict(self.table)


@dataclass(frozen=True)
class Page:
    """All that the scoreboard shows.

    `closer`: figures that belong to no single study, as those of a `Section`.
    `listening`: as from `sound_demo.write_demo`, with names, run -> short name.
    `misses`: as from `nafp.report.misses.replay.write_misses`, with names, as `listening` has.
    `provenance`: any nesting of mappings, lists and plain values. `state`: a sentence on what is missing. `made`: the jobs behind
    the cells. `links`, `tensorboard`, `legend`: as from `links.links_of`, `links.tensorboard_command`, `legend.legend`.
    `beyond`: hit rates in databases larger than the data.
    """

    title: str
    top: Top = Top()
    sections: Sequence[Section] = ()
    closer: Sequence[Shown] = ()
    listening: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    state: str = ""
    made: Made | None = None
    links: Sequence[RunLinks] = ()
    legend: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tensorboard: str = ""
    misses: Mapping[str, Any] = field(default_factory=dict)
    beyond: Beyond | None = None

    def html(self) -> str:
        """One self-contained document."""
        numbers, charts = numbers_of(self.links), Charts()
        anchors = _anchors([section.name for section in self.sections])
        studies = [_study(*one, charts, numbers, self.legend) for one in zip(self.sections, anchors, strict=True)]
        for study in [study for study in studies if study["figures"]][:1]:
            study["hint"] = bool(charts.specifications)
        tables = [section.table[["match", "queries"]] for section in self.sections]
        fewest = pd.concat(tables).groupby("match")["queries"].min() if tables else {}
        prepared = {
            "studies": studies,
            "meanings": {name: said(METRICS[name].meaning, fewest[name]) for name in METRICS if name in fewest},
            "closer": charts.add(self.closer),
            "charts": charts,
            "beyond": beyond_of(self.beyond),
            "listening": _listening(self.listening),
            "missed": missed_of(self.misses),
            "published": any((section.table["source"] != OURS).any() for section in self.sections),
            "origins": ORIGINS,
            "legend": {value: meaning for names in self.legend.values() for value, meaning in names.items()},
        }
        return templates().get_template("page.html.j2").render(vars(self) | prepared)


def templates() -> Environment:
    """The templates of this folder, with the filters that pages share; what is not given to them is an error."""
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
    return environment


def _anchors(names: Sequence[str]) -> list[str]:
    """Anchors after the names of studies: "#table3"; numbered where two are alike, or nothing is left of a name."""
    found: list[str] = []
    for name in names:
        plain_name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        taken = not plain_name or plain_name in (*found, *PARTS)
        found.append(f"{plain_name or 'study'}-{len(found) + 1}" if taken else plain_name)
    return found


def _study(
    section: Section,
    anchor: str,
    charts: Charts,
    numbers: Mapping[str, int],
    legend: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    plan = _with_tooltips(layout(section.table), _labels_explained(legend))
    return {
        "id": anchor,
        "name": re.sub(r"(?<=[a-z])(?=\d)|_", " ", section.name),
        "question": section.question,
        "verdict": section.verdict,
        "plan": plan,
        "labels": len(plan.blocks[0].groups[0].labels) if plan.blocks else 0,
        "matches": list(dict.fromkeys(section.table["match"])),
        "caption": caption(section.table),
        "figures": charts.add(section.figures),
        "hint": False,
        "heat": heat_of(section.matrix) if section.matrix else [],
        "files": quote(section.name),
        "numbers": numbers,
    }


def _labels_explained(legend: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Part of a label, as `cells.label` writes it, -> its meaning."""
    begins = {"aug": "aug ", "index": "", "query_set": "queries "}
    return {
        f"{begin}{value}": meaning for name, begin in begins.items() for value, meaning in legend.get(name, {}).items()
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
    steps = [dict(step, text=settings_text(step["settings"])) for step in listening.get("steps", [])]
    return {
        "media": listening.get("media", {}),
        "queries": queries,
        "levels": levels,
        "runs": [(run, names.get(run, run), found[run]) for run in runs],
        "steps": steps,
        **{name: listening.get(name) for name in ("f_min", "f_max")},
        "note": listening.get("note", ""),
        "ladders": listening.get("ladders", {}),
    }


def _bind(text: str) -> str:
    return re.sub(r"(?<=\d) (?=(%|s\b|ms\b|dB\b))", "\u00a0", str(text))  # no line break between a number and its unit


def _folded(group: Group, head: Sequence[Entry]) -> str:
    """Text below the first label on a phone, instead of the other columns."""
    others = zip(head[1:], group.labels[1:], strict=False)
    shown = [(name.text, label.text) for name, label in others if label.text != MISSING]
    return ", ".join(text if name == "index" else f"{name} {text}" for name, text in shown)


def _with_tooltips(plan: Layout, names: Mapping[str, str]) -> Layout:
    """The layout with labels that explain their parts."""
    if not names:
        return plan
    blocks = [
        replace(
            block,
            groups=[replace(one, labels=[_explained(label, names) for label in one.labels]) for one in block.groups],
        )
        for block in plan.blocks
    ]
    return replace(plan, blocks=blocks)


def _explained(label: Entry, names: Mapping[str, str]) -> Entry:
    """A label whose tooltip says what its parts mean."""
    parts = str(label.value).split(", ") if label.kind in ("method", "index") else []
    meanings = [f"{part}: {names[part]}" for part in parts if part in names]
    return replace(label, title="; ".join(meanings)) if meanings else label


def _plain(value: Any, inside: bool = False) -> str:
    """A value of the config as YAML would write it on one line, without the outermost brackets."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{key}: {_plain(one, True)}" for key, one in value.items())
        return f"{{{text}}}" if inside or not value else text
    if isinstance(value, (list, tuple)):
        text = ", ".join(_plain(one, True) for one in value)
        return f"[{text}]" if inside else text
    return {True: "yes", False: "no", None: "–"}[value] if value is None or isinstance(value, bool) else str(value)
