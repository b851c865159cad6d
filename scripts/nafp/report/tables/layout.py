"""Layout of a tidy table as in the paper: a block a source, a group a configuration, a row a kind of match."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from nafp.evaluation.metrics import false_accepts
from nafp.report.tables.cells import plain
from nafp.report.tables.published import PAPER, RERUN
from nafp.report.tables.study import COSTS, MEASURED_HERE, NOT_RUN, OURS

COLUMN_MEANINGS = {
    "method": "what answers the queries: a trained network by its fields, or another fingerprinter",
    "N": "batch size in training: anchors and replicas together",
    "d": "numbers in a fingerprint",
    "index": "structure that is searched for the nearest fingerprints",
    "seeds": "trainings with other random numbers, whose hits are pooled",
    "songs": "songs that queries are from: the sampling unit of intervals and tests",
    "queries": "queries of each length; neighbouring ones overlap",
    "match": "what counts as a hit",
    "build s": "seconds to build the index",
    "MB on disk": "size of the index on disk",
    "MB in memory": "size of the index in memory, by its structure",
    "bytes per fingerprint": "size of the index on disk, divided by its fingerprints",
    "recall %": "share of query segments whose true nearest neighbour the index finds first",
    "ms per segment": "neighbour search alone, for one segment",
    "ms per query": "search and scoring of one query, without computing its fingerprints",
    "build s per hour": "seconds to build the database of an hour of music",
    "MB per hour": "size of the database of an hour of music",
}
MISSING, MINUS = "–", "\N{MINUS SIGN}"
MARKS = {"better": "▲", "worse": "▼"}
LABELS = ("method", "N", "d", "index", "seeds", "songs", "queries")
OF_NETWORKS = ("N", "d", "index")  # columns that methods without a network leave empty
COUNTS = ("songs", "queries")  # labels that the caption states where all rows have the same
OF_METHODS = ("build s per hour", "MB per hour", "ms per query")  # costs that a method without an index has too
OF_INDEXES = [name for name in COSTS if name not in OF_METHODS[:2]]
WORDS = {"method", "index", "match"}


@dataclass(frozen=True)
class Entry:
    """One entry of the table: its text, its number for sorting, and its tooltip (``title``).

    ``kind``: method, index, match, number, rate or cost. ``below``: smaller lines under it. ``mark``: one of MARKS. ``apart``:
    whether it stands out from the others of its column. ``line``: points (x, y) of a small line that is drawn instead of text.
    """

    text: str
    kind: str
    value: float | str | None = None
    below: tuple[str, ...] = ()
    mark: str = ""
    best: bool = False
    title: str = ""
    apart: bool = False
    line: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Group:
    """One configuration: its labels, a row of entries for each match, its costs, and its cells (files, below the results)."""

    labels: list[Entry]
    rows: list[list[Entry]]
    costs: list[Entry]
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """The groups of one source, and a note on whether they are comparable."""

    source: str
    note: str
    groups: list[Group]


@dataclass(frozen=True)
class Layout:
    """``everywhere``: labels that all our rows share, said once instead of in a column."""

    head: list[Entry]
    blocks: list[Block]
    everywhere: str


def layout(table: pd.DataFrame) -> Layout:
    """Lay out a table of `study.study_table`."""
    table = table.assign(seeds=_seeds(table))
    ours = table["source"].eq(OURS)
    used = [name for name in LABELS if name == "method" or table[name].notna().any()]
    constant = [name for name in used if _is_constant(table, ours, name)]
    constant = constant[1:] if len(constant) == len(used) else constant
    labels = [name for name in used if name not in constant]
    lengths = sorted(table["query_s"].dropna().unique())
    costs = [name for name in _compared_costs(table.loc[ours, "index"]) if table[name].notna().any()]
    blocks = []
    for (source, _), block in groupby(
        table.to_dict("records"), key=lambda row: (row["source"], str(row["comparable"]))
    ):
        rows = list(block)
        groups = [_group(list(group), labels, lengths, costs) for _, group in groupby(rows, key=_configuration)]
        blocks.append(Block(source, _note(rows[0]), groups))
    titles = {"ms per query": f"ms per query ({_timed(lengths):g} s)"} if lengths else {}
    names = [*labels, "match", *(f"{s:g} s" for s in lengths), *(titles.get(name, name) for name in costs)]
    said = [name for name in constant if name not in COUNTS]
    everywhere = ", ".join(_said(name, table.loc[ours, name].dropna().iloc[0]) for name in said)
    head = [Entry(name, _kind(name), title=COLUMN_MEANINGS.get(name.split(" (")[0], "")) for name in names]
    return Layout(head, blocks, everywhere)


def _said(name: str, value: Any) -> str:
    """A label in a sentence: "N = 120", "index l2", "2 seeds", "one seed"."""
    if name == "seeds":
        return "one seed" if value == "1" else f"{value} seeds"
    return f"{name} = {_label(name, value)}" if name in ("N", "d") else f"{name} {_label(name, value)}"


def _compared_costs(index: pd.Series) -> Sequence[str]:
    """The costs that rows with these indexes are compared by; none where they share one."""
    if index.isna().any():
        return OF_METHODS
    return OF_INDEXES if index.nunique() > 1 else ()


def _seeds(table: pd.DataFrame) -> pd.Series:
    """The number of seeds as text: "3", or "2 of 3" where some have not run."""
    return pd.Series(
        [
            None if pd.isna(done) else f"{done} of {planned}" if pd.notna(planned) and done < planned else f"{done}"
            for done, planned in zip(table["seeds"], table["planned"], strict=True)
        ],
        index=table.index,
        dtype=object,
    )


def _is_constant(table: pd.DataFrame, ours: pd.Series, name: str) -> bool:
    """Whether our rows have one value here and no published row has another: then a line of text can say it."""
    known = table.loc[ours, name].notna()
    said_of_all = known.all() if name in OF_NETWORKS else known.any()
    return bool(ours.any()) and bool(said_of_all) and table[name].nunique() == 1


def _configuration(row: dict[str, Any]) -> tuple:
    names = ("method", "N", "d", "index", "dataset", "protocol", "epoch", "database_segments", "runs")
    return tuple(str(row[name]) for name in names)


def _group(rows: list[dict], labels: list[str], lengths: list[float], costs: list[str]) -> Group:
    first = rows[0]
    by_match = [(match, list(members)) for match, members in groupby(rows, key=lambda row: row["match"])]
    body = []
    for match, members in by_match:
        rates = {row["query_s"]: row for row in members}
        body.append([Entry(match, "match"), *(_rate(rates.get(s)) for s in lengths)])
    mark = " (baseline)" if first["baseline"] is True else ""
    head = [
        Entry(_label(name, first[name]) + mark * (name == labels[0]), _kind(name), _value(first[name]))
        for name in labels
    ]
    timed = next((row for row in rows if row["query_s"] == _timed(lengths)), first)
    cells = tuple(first["cells"].split()) if isinstance(first["cells"], str) else ()
    return Group(head, body, [Entry(_cost(timed[name]), "cost", _value(timed[name])) for name in costs], cells)


def _timed(lengths: Iterable[float]) -> float:
    return 10 if 10 in lengths else max(lengths)


def _rate(row: dict | None) -> Entry:
    if row is None:
        return Entry(MISSING, "rate", title="no such query length")
    if row["state"] == NOT_RUN:
        return Entry(NOT_RUN, "rate")
    text = one_decimal(row["hit_rate_pct"])
    if row["state"] != MEASURED_HERE:
        return Entry(text, "rate", row["hit_rate_pct"])
    below = [f"{one_decimal(row['low_pct'])}–{one_decimal(row['high_pct'])}"]
    for name, column in ((PAPER, "minus_paper"), ("re-run", "minus_rerun")):
        if pd.notna(row[column]):
            below.append(f"{name} {'+' if row[column] >= 0 else MINUS}{abs(row[column]):.1f}")
    mark = MARKS.get(row["versus"], "")
    return Entry(text, "rate", row["hit_rate_pct"], tuple(below), mark, bool(row["best"]), _sentence(row))


def _sentence(row: dict) -> str:
    """Tooltip of a rate: interval, seeds, published rates, p-values."""
    queries = f"{row['queries']:,.0f} queries of {row['query_s']:g} s in {row['songs']:,} songs"
    parts = [
        f"{row['hit_rate_pct']:.2f} % of {queries}",
        f"95 % interval {row['low_pct']:.2f} to {row['high_pct']:.2f} %",
    ]
    if row["match"] == "open set":
        parts.append(f"false accepts: at most {false_accepts(row['queries'])}")
    if pd.notna(row["seed_sd_pct"]):
        parts.append(f"mean of {row['seeds']} seeds, standard deviation {row['seed_sd_pct']:.2f}")
    if pd.notna(row["mrr"]):
        parts.append(f"mean reciprocal rank {row['mrr']:.3f}")
    for name, column, difference in ((PAPER, "paper_pct", "minus_paper"), (RERUN, "rerun_pct", "minus_rerun")):
        if pd.notna(row[column]):
            parts.append(f"{name} {row[column]:g} %, difference {row[difference]:+.1f}")
    if pd.notna(row["p"]):
        parts.append(f"against the baseline p = {row['p']:.2g}, {row['p_holm']:.2g} corrected")
    return "; ".join(parts)


def _note(row: dict) -> str:
    if row["source"] == OURS or not isinstance(row["comparable"], str):
        return ""
    return row["comparable"].replace("no:", "not comparable:") if row["comparable"].startswith("no:") else "comparable"


def _kind(name: str) -> str:
    return (
        name
        if name in WORDS
        else "cost"
        if name.split(" (")[0] in COSTS
        else "rate"
        if name.endswith(" s")
        else "number"
    )


def _label(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return MISSING
    return f"{value:,.0f}" if name in COUNTS else plain(value)


def _cost(value: Any) -> str:
    if pd.isna(value):
        return MISSING
    return three_digits(value)


def _value(value: Any) -> float | str | None:
    return None if value is None or pd.isna(value) else value


def three_digits(value: float) -> str:
    """A cost or size, three digits of it; whole from 100 on."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def one_decimal(value: float) -> str:
    """A rate as people round it: half up, so that 97.35 is 97.4."""
    return f"{np.floor(value * 10 + 0.5 + 1e-6) / 10:.1f}"


def signed(points: float, plus: str = "") -> str:
    """A difference in points with its sign, ``plus`` of one that is not negative; none of one that rounds to zero."""
    text = one_decimal(abs(points))
    return text if text == "0.0" else f"{MINUS if points < 0 else plus}{text}"
