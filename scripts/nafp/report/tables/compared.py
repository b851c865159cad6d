"""What a line-up of scoreboards says: a verdict in words, and tables of two side by side or of many in order of date."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd

from nafp.evaluation.statistics import LEVEL, fewest_differing
from nafp.report.tables.cells import plain
from nafp.report.tables.comparison import Board, LineUp, tested
from nafp.report.tables.layout import MARKS, MISSING, Block, Entry, Group, Layout, one_decimal, signed
from nafp.report.tables.verdict import too_few, why_no_interval

TESTED, UNTESTED, ONLY, CELLS = "tested", "not tested", "in one only", "cells"
SOURCES = {  # blocks of the tables -> what is said of them
    TESTED: "the same queries, song by song",
    UNTESTED: "rates side by side, with intervals that do not test each other",
    ONLY: "the other has no such cell",
    CELLS: "each against the scoreboard before it that has the cell",
}
NOT_SIGNIFICANT, TOO_FEW = "not significant", "too few songs"
LABELS = {  # columns that are shown if they tell rows apart -> heading and kind
    "method": ("method", "method"),
    "index": ("index", "index"),
    "query_set": ("queries", "index"),
    "epoch": ("epoch", "number"),
    "match": ("match", "match"),
    "query_s": ("length", "length"),
}
OF_NUMBER = ("match", "query_s")  # those that tell the numbers of one cell apart
LEAST_SPAN = 10  # points that a trend is high, at least, so that noise does not look like news
with_sign = partial(signed, plus="+")  # text of a difference in points
WIDTH, HEIGHT = 60, 18  # of a trend, in units of its view box


# ---------------------------------------------------------------- in words


def verdict(found: LineUp, level: float = LEVEL) -> str:
    """How much differs beyond chance, and the largest difference; its interval is for all tests together (Bonferroni)."""
    table, count = found.tested, len(found.tested)
    if not count:
        shared = found.table[found.table["before"].notna()]
        if shared.empty:
            return "Nothing is tested: no cell is in more than one of the scoreboards."
        reasons = ", ".join(shared["why"].unique())
        return (
            f"Nothing is tested: the {shared['cell'].nunique()} cells that scoreboards share {reasons}. Rates stand side by "
            "side with intervals of their own, which do not test each other."
        )
    differ = table["outcome"].ne("")
    cells = table.loc[differ, "cell"].nunique()
    verb = ("differs" if differ.sum() == 1 else "differ") + " from the scoreboard before" * (len(found.boards) > 2)
    opening = (
        f"{differ.sum():,} of {count:,} numbers, in {cells:,} of {table['cell'].nunique():,} cells, {verb} beyond chance "
        f"(p < {level:g} after Holm's correction for {count:,} tests)."
    )
    if few := sum(_too_few(row) for row in table.to_dict("records")):
        opening += f" In {few:,} so few songs differ that no test can tell."
    largest = table.loc[table["difference"].abs().idxmax()]
    return f"{opening} {_largest(largest, found, count)}"


def _too_few(row: Mapping[str, Any]) -> bool:
    """Whether no p of so few differing songs could be small enough."""
    return not row["outcome"] and 0 < row["songs_differing"] < fewest_differing(row["not_sure"])


def _largest(row: Mapping[str, Any], found: LineUp, count: int) -> str:
    if row["difference"] == 0:
        return "No rate differs."
    cells = {board.name: board.cells for board in found.boards}
    before, after = (cells[name][row["cell"]] for name in (row["before"], row["board"]))
    _, tests = tested(before, after, [row["match"]], 1 - LEVEL / count)
    test = tests[row["match"], row["query_s"]]
    interval = f"95 % {with_sign(100 * test.low)} to {with_sign(100 * test.high)}, for all {count:,} numbers together"
    if pd.isna(test.low):
        interval = why_no_interval(row["difference"], row["songs"])
    more = "more" if row["difference"] > 0 else "fewer"
    where = ", ".join(filter(None, (row["method"], row["index"], _of_set(row))))
    return (
        f"The largest difference: {row['board']} finds {one_decimal(abs(row['difference']))} points {more} than {row['before']} "
        f"({where}, {row['match']}, {row['query_s']:g} s; {interval})."
    )


def _of_set(row: Mapping[str, Any]) -> str:
    return "" if row["query_set"] == "files" else f"queries {row['query_set']}"


# ---------------------------------------------------------------- as tables


def laid_out(found: LineUp) -> Layout:
    """The table of two scoreboards, or the history of more: a row a cell, match and query length."""
    rows = _pair(found) if len(found.boards) == 2 else _history(found)
    names = [name for name in LABELS if name == "method" or found.table[name].nunique(dropna=False) > 1]
    labels = [name for name in names if name not in OF_NUMBER]
    head = [Entry(*LABELS[name]) for name in [*labels, *(name for name in names if name in OF_NUMBER)]]
    blocks: dict[tuple[str, str], list[Group]] = {}
    for source, note, row, entries in rows:
        body = [_label(row, name) for name in names if name in OF_NUMBER] + entries
        blocks.setdefault((source, note), []).append(Group([_label(row, name) for name in labels], [body], []))
    order = sorted(blocks, key=lambda key: list(SOURCES).index(key[0]))
    return Layout([*head, *_columns(found)], [Block(*key, blocks[key]) for key in order], "")


def _columns(found: LineUp) -> list[Entry]:
    """The headings beside those of LABELS."""
    boards = [Entry(board.name, "board") for board in found.boards]
    if len(boards) > 2:
        return [*boards, Entry("trend", "trend")]
    if found.tested.empty:
        return boards
    numbers = [Entry("p", "number"), Entry("p corrected", "number")]
    return [*boards, Entry("difference", "rate"), *numbers, Entry("outcome", "outcome")]


def _label(row: Mapping[str, Any], name: str) -> Entry:
    value, kind = row[name], LABELS[name][1]
    if name == "query_s":
        return Entry(f"{value:g} s", kind, value)
    text = MISSING if pd.isna(value) or value == "" else plain(value)
    return Entry(text, kind, text, title=row["run"] if name == "method" else "")


def _by_board(table: pd.DataFrame) -> Iterator[dict[str, dict[str, Any]]]:
    """Board -> its row, of each cell, match and query length."""
    for _, rows in table.groupby(["cell", "match", "query_s"], sort=False):
        yield {row["board"]: row for row in rows.to_dict("records")}


def _pair(found: LineUp) -> Iterator[tuple[str, str, dict, list[Entry]]]:
    """Block, its note, a row of the later board that has the cell, and the entries beside its labels."""
    names, nothing = [board.name for board in found.boards], found.tested.empty
    for of_boards in _by_board(found.table):
        row = list(of_boards.values())[-1]
        if len(of_boards) == 1:
            source, note = ONLY, row["board"]
        else:
            source, note = (UNTESTED, f"they {row['why']}") if row["why"] else (TESTED, "")
        rates = [_rate(of_boards.get(name)) for name in names]
        yield source, note, row, rates if nothing else [*rates, *_test(row)]


def _history(found: LineUp) -> Iterator[tuple[str, str, dict, list[Entry]]]:
    """The same of more than two boards, in one block."""
    names = [board.name for board in found.boards]
    for of_boards in _by_board(found.table):
        rates = [_rate_and_step(of_boards.get(name)) for name in names]
        yield CELLS, "", list(of_boards.values())[-1], [*rates, _trend(of_boards, names)]


def _rate(row: Mapping[str, Any] | None) -> Entry:
    """A rate over its interval."""
    if row is None:
        return Entry(MISSING, "board", title="no such cell")
    below = (f"{one_decimal(row['low_pct'])}–{one_decimal(row['high_pct'])}",) if pd.notna(row["low_pct"]) else ()
    title = f"{row['hit_rate_pct']:.2f} % of {row['queries']:,} queries in {row['songs']:,} songs"
    if below:
        title += f"; 95 % interval {row['low_pct']:.2f} to {row['high_pct']:.2f} %"
    return Entry(one_decimal(row["hit_rate_pct"]), "board", row["hit_rate_pct"], below, title=title)


def _test(row: Mapping[str, Any]) -> list[Entry]:
    """Difference, p, corrected p and outcome."""
    if pd.isna(row["p"]):
        return [Entry(MISSING, kind) for kind in ("rate", "number", "number", "outcome")]
    mark, outcome = MARKS.get(row["outcome"], ""), row["outcome"] or (TOO_FEW if _too_few(row) else NOT_SIGNIFICANT)
    return [
        Entry(with_sign(row["difference"]), "rate", row["difference"], (_interval(row),), mark, title=_sentence(row)),
        *(Entry(_p(row[name]), "number", row[name]) for name in ("p", "p_holm")),
        Entry(outcome, "outcome", outcome),
    ]


def _interval(row: Mapping[str, Any]) -> str:
    if pd.isna(row["difference_low"]):
        return why_no_interval(row["difference"], row["songs"])
    return f"{with_sign(row['difference_low'])} to {with_sign(row['difference_high'])}"


def _p(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-4 else "< 0.0001"


def _sentence(row: Mapping[str, Any]) -> str:
    """Tooltip of a difference."""
    interval = f"95 % interval {_interval(row)}" if pd.notna(row["difference_low"]) else _interval(row)
    few = f"; {too_few(row['songs_differing'], row['not_sure'])}" if _too_few(row) else ""
    return (
        f"{row['board']} minus {row['before']}: {row['difference']:+.2f} points, {interval}; p = {row['p']:.2g}, "
        f"{row['p_holm']:.2g} corrected{few}"
    )


def _rate_and_step(row: Mapping[str, Any] | None) -> Entry:
    """A rate over its difference to the scoreboard before."""
    entry = _rate(row)
    if row is None or pd.isna(row["before"]):
        return replace(entry, below=())
    if pd.isna(row["p"]):
        return replace(
            entry, below=("not tested",), title=f"{entry.title}; not tested against {row['before']}: they {row['why']}"
        )
    mark = MARKS.get(row["outcome"], "")
    return replace(entry, below=(with_sign(row["difference"]),), mark=mark, title=f"{entry.title}; {_sentence(row)}")


def _trend(of_boards: Mapping[str, Mapping], names: Sequence[str]) -> Entry:
    """The rates as a small line, from the last scoreboard on that cannot be compared with the one before; its number, for
    sorting, is the last rate minus the first."""
    there = [name for name in names if name in of_boards]
    begin = max((i for i, name in enumerate(there) if of_boards[name]["why"]), default=0)
    rates = [(names.index(name), of_boards[name]["hit_rate_pct"]) for name in there[begin:]]
    values = [rate for _, rate in rates]
    middle, span = (max(values) + min(values)) / 2, max(max(values) - min(values), LEAST_SPAN)
    x = [2 + (WIDTH - 4) * i / max(len(names) - 1, 1) for i, _ in rates]
    y = [HEIGHT / 2 - (HEIGHT - 4) * (value - middle) / span for value in values]
    line = tuple(zip((round(one, 1) for one in x), (round(one, 1) for one in y), strict=True))
    change = values[-1] - values[0]
    said = f"{with_sign(change)} from the first to the last" if len(values) > 1 else "one scoreboard only"
    return Entry("", "trend", change, title=said, line=line)


def in_order_of_date(boards: Sequence[Board]) -> list[Board]:
    """Boards from the oldest to the newest; those without a date come first, as they were given."""
    return sorted(boards, key=lambda board: board.date)
