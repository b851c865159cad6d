"""Missed queries to hear and see: each with the segment answered and the right one, and which songs are hard."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nafp import compute
from nafp.audio.splits import Split
from nafp.evaluation.cell import Cell, read_table, table_beside
from nafp.evaluation.metrics import METRICS, columns
from nafp.files import atomic_write
from nafp.model.features import LogMel
from nafp.model.weights import settings_of
from nafp.report.misses.choice import Outcomes, choose, match_of
from nafp.report.misses.kinds import kinds_of, silent
from nafp.report.misses.songs import COLUMNS, hardest_first, song_numbers
from nafp.report.misses.sounds import Clips, rounded
from nafp.report.songs import HeardSongs

ANSWER = ["query", "length", "place1", "score1"]
SONGS_SHOWN = 100  # rows of the page's table of songs; the CSV has all


@dataclass(frozen=True)
class QuerySet:
    """One query set: its packed queries, and the cell of each run that was asked it, the one whose misses are heard first.

    ``degradation``, ``strength``, ``unit``: what was done to its queries, and how much.
    """

    name: str
    degradation: str
    strength: float | str
    unit: str
    packed: str
    cells: Mapping[str, str]

    @cached_property
    def placed(self) -> bool:
        """Whether it is known where in their songs the queries are."""
        return METRICS["exact"].column in Cell.read(next(iter(self.cells.values()))).hits

    def hits(self, run: str, only: Sequence[str] | None = None) -> pd.DataFrame:
        """A run's per-query table, or some of its columns."""
        return read_table(table_beside(self.cells[run]), only)

    def shortest(self, run: str, only: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of the shortest queries."""
        hits = self.hits(run, only)
        return hits[hits["length"] == hits["length"].min()].reset_index(drop=True)


@dataclass(frozen=True)
class Replay:
    """What misses are chosen from.

    ``sets``: fields of `QuerySet`; every set has a cell of the first set's first run, whose misses are heard. ``packed``: dummy
    and test_db. ``features``: of the pictures, or the weights that state them; ``seen``: whether an encoder of the first run
    sees such pictures. ``queries``, ``of_set``: how many are heard, and of one query set, at most. ``note``: why there are
    no sets.
    """

    sets: Sequence[Mapping[str, Any]]
    packed: Mapping[str, str]
    features: Mapping[str, Any] | str
    seen: bool
    queries: int
    of_set: int
    seed: int
    note: str = "no run has answered queries yet"


def write_misses(replay: Replay, misses: Path, songs: Path, threads: int) -> None:
    """``misses``: what the page shows, as JSON. ``songs``: the hit rates of each song, as CSV."""
    compute.set_up(threads, gpu=False)
    sets = [QuerySet(**one) for one in replay.sets]
    shown: dict[str, Any] = {
        "media": {},
        "runs": [],
        "sets": [],
        "queries": [],
        "songs": {},
        "seen": replay.seen,
        "note": "",
    }
    table = pd.DataFrame(columns=["song"])
    if sets:
        searched = HeardSongs(*(Split.open(replay.packed[split]) for split in ("dummy", "test_db")))
        shown |= replayed(sets, searched, replay)
        table = songs_of(sets[0], searched)
        shown["songs"] = for_page(table, sets[0], dict(zip(searched.names, searched.titles, strict=True)))
    else:
        shown["note"] = replay.note
    with atomic_write(songs) as part:
        table.to_csv(part, index=False)
    with atomic_write(misses) as part:
        part.write_text(json.dumps(shown), encoding="utf-8")
    heard = len(shown["queries"])
    size = misses.stat().st_size / 1e3
    print(f"{heard} queries of {len(sets)} query sets, {size / max(heard, 1):.1f} kB each. {shown['note']}")


def songs_of(one: QuerySet, searched: HeardSongs) -> pd.DataFrame:
    """The hit rates of each song by each run, the songs that are hardest for the first run first."""
    match = match_of(one.placed)
    numbers = {
        run: song_numbers(one.hits(run, [*COLUMNS, METRICS[match].column]), searched.of_row, searched.names, match)
        for run in one.cells
    }
    return hardest_first(numbers).assign(query_set=one.name, match=match)


def for_page(table: pd.DataFrame, one: QuerySet, titles: Mapping[str, str]) -> dict[str, Any]:
    """The hardest songs for the page's table: {set, match, runs, short_s, long_s, total, rows: [{song, queries, taken_for,
    times, rates: [[short, long] of each run]}]}, rates in percent."""
    first = table.iloc[0]
    groups = [rows for _, rows in table.groupby("song", sort=False)][:SONGS_SHOWN]
    rows = [
        {
            **{name: titles.get(rows[name].iloc[0], "") for name in ("song", "taken_for")},
            **{name: int(rows[name].iloc[0]) for name in ("queries", "times")},
            "rates": rows[["short_pct", "long_pct"]].round(2).to_numpy().tolist(),
        }
        for rows in groups
    ]
    lengths = {name: float(first[name]) for name in ("short_s", "long_s")}
    return {
        **{"set": one.name, "match": first["match"], "runs": list(one.cells), **lengths},
        **{"total": int(table["song"].nunique()), "rows": rows},
    }


def replayed(sets: Sequence[QuerySet], searched: HeardSongs, replay: Replay) -> dict[str, Any]:
    """The chosen queries for the page; see `nafp.report.page.misses` for what it makes of them."""
    first = next(iter(sets[0].cells))
    clips = [Split.open(one.packed) for one in sets]
    outcomes = [outcomes_of(one, first, searched, split) for one, split in zip(sets, clips, strict=True)]
    chosen = choose(outcomes, replay.queries, replay.of_set, replay.seed)
    features = settings_of(replay.features)["features"] if isinstance(replay.features, str) else replay.features
    heard = Clips(searched, LogMel(**features).eval())
    queries, counts = [], []
    for number, (one, split, outcome, rows) in enumerate(zip(sets, clips, outcomes, chosen, strict=True)):
        others = (
            {run: one.shortest(run, [*ANSWER, *columns()]) for run in one.cells if run != first} if len(rows) else {}
        )
        for row in rows:
            entry = {"set": number, **heard.query(f"q{len(queries)}", split, outcome, int(row))}
            queries.append(entry | {"others": answers_of_others(others, outcome, int(row), searched)})
        said = {"name": one.name, "degradation": one.degradation, "strength": one.strength, "unit": one.unit}
        counts.append({**said, "placed": one.placed, "queries": len(outcome.hits), "missed": len(outcome.missed)})
    runs = list(dict.fromkeys(run for one in sets for run in one.cells))
    return {"media": heard.media, "runs": runs, "sets": counts, "queries": queries}


def outcomes_of(one: QuerySet, run: str, searched: HeardSongs, queries: Split) -> Outcomes:
    """What became of the shortest queries of a set."""
    hits = one.shortest(run)
    missed = np.flatnonzero(~hits[METRICS[match_of(one.placed)].column].to_numpy(bool))
    quiet = np.zeros(len(hits), bool)
    quiet[missed] = silent(queries, hits["query"].to_numpy()[missed])
    if one.placed:
        right = hits["truth"].to_numpy()[missed] - searched.dummy_rows
        quiet[missed] |= silent(searched.db, right)
    kinds = kinds_of(hits, searched.of_row, searched.dummy_rows, quiet)
    return Outcomes(one.degradation, hits, kinds, one.placed)


def answers_of_others(
    tables: Mapping[str, pd.DataFrame], outcome: Outcomes, row: int, searched: HeardSongs
) -> list[dict[str, Any]]:
    """What other runs answer to a query: [{run, found, song, at_s, score}], without those that were not asked it."""
    asked, said = outcome.hits.iloc[row], []
    for run, table in tables.items():
        same = table[(table["query"] == asked["query"]) & (table["length"] == asked["length"])]
        for answer in same.to_dict("records"):
            place, found = int(answer["place1"]), bool(answer[METRICS[match_of(outcome.placed)].column])
            where = {**searched.place(place), "score": rounded(answer["score1"])} if place >= 0 else {}
            said.append({"run": run, "found": found, **where})
    return said
