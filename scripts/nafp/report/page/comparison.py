"""The page on which scoreboards stand side by side: two, tested cell by cell, or the history of more."""

from collections.abc import Mapping, Sequence

from nafp.evaluation.statistics import LEVEL
from nafp.jobfacts import UNKNOWN
from nafp.report.page.made import (
    NOT_RECORDED,
    TIMES_WARNING,
    VARYING,
    Facts,
    Made,
    differing,
    ends,
    facts_table,
    made_by,
    values,
)
from nafp.report.page.page import templates
from nafp.report.tables.compared import LEAST_SPAN, NOT_SIGNIFICANT, SOURCES, laid_out, verdict
from nafp.report.tables.comparison import Board, LineUp, read_cell
from nafp.report.tables.layout import MARKS

OF_MACHINE = {"processor", "device", "cores", "threads", "system"}
ALWAYS = (
    "folder",
    "data set",
    "cells",
    "date",
    "commit",
    "processor",
    "device",
)  # columns of every table of scoreboards


def render_comparison(found: LineUp, level: float = LEVEL) -> str:
    """A line-up as one self-contained HTML document. ``level``: of significance, for which it was made."""
    plan, many = laid_out(found), len(found.boards) > 2
    choices = {
        "match": list(found.table["match"].unique()),
        "length": [f"{seconds:g} s" for seconds in sorted(found.table["query_s"].unique())],
        "outcome": [] if many or found.tested.empty else [*MARKS, NOT_SIGNIFICANT],
    }
    page = templates().get_template("comparison.html.j2")
    return page.render(
        title="Scoreboards compared: " + ", ".join(board.name for board in found.boards),
        lead="Hit rates cell by cell" + (", in order of date." if many else "."),
        verdict=verdict(found, level),
        made=boards_table(found.boards),
        plan=plan,
        labels=len(plan.blocks[0].groups[0].labels),
        origins=SOURCES,
        choices={kind: texts for kind, texts in choices.items() if len(texts) > 1},
        caption=_caption(found),
        remarks=found.remarks,
        level=level,
    )


def boards_table(boards: Sequence[Board]) -> Made:
    """The scoreboards themselves, a row each: what all their jobs share said once, what differs in columns."""
    facts = {board.name: facts_of(board) for board in boards}
    sources = {"scoreboards": "as their cells and runs record it"}
    return facts_table({"scoreboards": facts}, "scoreboard", ALWAYS, _differences(facts), sources)


def facts_of(board: Board) -> Facts:
    """What a board is, and each distinct value of the facts of its jobs."""
    cells = {path: read_cell(path) for path in board.cells.values()}
    stages = made_by(cells, {}, board.folder / "benchmarks")
    jobs = {(stage, name): facts for stage, of_stage in stages.items() for name, facts in of_stage.items()}
    names = dict.fromkeys(name for facts in jobs.values() for name in facts if name not in VARYING)
    dates = [facts["date"] for facts in jobs.values() if "date" in facts]
    return {
        "folder": str(board.folder),
        "data set": "; ".join(dict.fromkeys(cell.dataset for cell in cells.values())),
        "cells": str(len(cells)),
        **({"date": ", then ".join(ends(dates))} if dates else {}),
        **{name: "; ".join(values(jobs, name)) for name in names},
    }


def _differences(facts: Mapping[str, Facts]) -> str:
    """One sentence on the facts in which scoreboards differ."""
    if any(NOT_RECORDED in one.get("commit", NOT_RECORDED).split("; ") for one in facts.values()):
        return "not known: some were made before this was recorded"
    if found := differing(facts):
        return ", ".join(found) + f"; {TIMES_WARNING}" * bool(OF_MACHINE & set(found))
    if any(UNKNOWN in one["commit"].split("; ") for one in facts.values()):
        return "none that are recorded; the commit of some is unknown"
    return "none: the same data set by name, code, packages and machines"


def _caption(found: LineUp) -> str:
    matches = found.table["match"].unique()
    which = "Hit rates in %" if len(matches) > 1 else f"Hit rates ({matches[0]}) in %"
    if len(found.boards) == 2:
        a, b = (board.name for board in found.boards)
        minus = f"; the difference is {b} minus {a}, in points, with its 95 % interval over songs"
        return f"{which} with their 95 % intervals over songs{'' if found.tested.empty else minus}."
    return (
        f"{which}, scoreboards in order of date; below each rate its difference in points to the scoreboard before it that has "
        "the cell, and ▲ or ▼, which the filter finds, if that is beyond chance. Intervals and p are in the tooltips. A trend "
        "goes through the rates on the data set of the last, from the lowest to the highest of its row, at least "
        f"{LEAST_SPAN} points high."
    )
