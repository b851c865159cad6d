"""Made-up songs of noise, queries of them, and cells whose answers are known: for the misses that the page lets one hear."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SEGMENT
from nafp.audio.splits import Split
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import RANKS, per_query_table
from nafp.grid import parse_run, run_name
from nafp.report.misses.replay import Replay
from nafp.search.result import Result

ROWS_A_SONG = 15  # of 8 s
LENGTHS = [1, 3, 5]
QUERIES_A_SONG = ROWS_A_SONG - max(LENGTHS) + 1
TITLES = [f"s{i}" for i in range(6)]
FULL, NONE = (
    run_name({"aug": aug, "bsz": 120, "dim": 64, "loss": "ntxent", "recipe": "base", "seed": 0})
    for aug in ("full", "none")
)
WORDS = {
    "files": {"degradation": "files", "strength": "", "unit": ""},
    "noise_m5": {"degradation": "background noise", "strength": -5, "unit": "dB SNR"},
    "noise_0": {"degradation": "background noise", "strength": 0, "unit": "dB SNR"},
    "phone": {"degradation": "phone", "strength": "", "unit": ""},
}


def noise(titles: Sequence[str], seed: int) -> Split:
    """Songs of 8 s, no two seconds of which are alike."""
    rng = np.random.default_rng(seed)
    songs = [rng.normal(0, 3000, (ROWS_A_SONG + 1) * HOP).astype(np.int16) for _ in titles]
    return Split.of_clips(songs, [f"x/{seed}/{title}.wav" for title in titles])


def write_split(split: Split, path: Path) -> str:
    """A packed split on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, split.audio)
    split.clips.to_csv(path.with_suffix(".csv"), index=False)
    return str(path)


def answers(db: int, dummy: int, skill: float, seed: int) -> tuple[list[Result], np.ndarray]:
    """Answers to all queries of so many songs, and the segments that they begin at: right ones and misses of every kind.

    ``skill``: the share of right ones; of the misses some are next to the right place, elsewhere in the song, in other songs, and
    some queries have no answer. A tie for the first place is among them where anything is missed.
    """
    rng = np.random.default_rng(seed)
    starts = (np.arange(db)[:, None] * ROWS_A_SONG + np.arange(QUERIES_A_SONG)).ravel()
    truth, rows = starts + dummy * ROWS_A_SONG, (dummy + db) * ROWS_A_SONG
    results = []
    for length in LENGTHS:
        place = np.stack([rng.permutation(rows)[:RANKS] for _ in starts])
        place[:, 1:][place[:, 1:] == truth[:, None]] = 0
        score = -np.sort(-rng.random((len(starts), RANKS)), axis=1)
        near = truth + 1
        away = truth // ROWS_A_SONG * ROWS_A_SONG + (truth % ROWS_A_SONG + 7) % ROWS_A_SONG
        kind = rng.choice(5, len(starts), p=[skill, *[(1 - skill) / 4] * 4])
        place[:, 0] = np.choose(kind, [truth, near, away, place[:, 0], place[:, 0]])
        lost = kind == 3  # the right place is the third
        place[lost, 2] = truth[lost]
        silent = (kind == 4) & (rng.random(len(starts)) < 0.2)
        place[silent], score[silent] = -1, -np.inf
        if skill < 1:
            place[5, :2], score[5, :2] = (truth[5], truth[5] - 3), 1.0  # level with another place, which is a miss
        results.append(Result(length, place, score, place[:, 0] * 0, score[:, 0] * 0.5, 0.1, 0.05))
    return results, starts


def write_cell(path: Path, run: str, dummy: Split, db: Split, skill: float, seed: int, placed: bool = True) -> str:
    """A cell of made-up answers to all queries, and its per-query table."""
    results, starts = answers(len(db.clips), len(dummy.clips), skill, seed)
    songs = np.repeat(np.arange(len(dummy.clips) + len(db.clips)), ROWS_A_SONG)
    right = starts if placed else starts // ROWS_A_SONG * ROWS_A_SONG
    truth = right + len(dummy.segments)
    moved = None if placed else {"start": starts % ROWS_A_SONG / 2}
    names = [*dummy.clips["path"], *db.clips["path"]]
    table = per_query_table(results, starts, truth, songs, names, moved, placed)
    cell = Cell.count(table, placed, dataset="demo", run=run, fields=parse_run(run), index="l2", database={})
    path.parent.mkdir(parents=True, exist_ok=True)
    cell.write(path, table)
    return str(path)


def made_up_replay(
    folder: Path,
    skills: Mapping[str, float] | None = None,
    runs: Sequence[str] = (FULL, NONE),
    titles: Sequence[str] = TITLES,
    unplaced: Sequence[str] = (),
    **changes,
) -> Replay:
    """Query sets, by name with the share of queries that the first run finds, of WORDS; others find less."""
    dummy, db = noise(["d0", "d1", "d2"], 1), noise(titles, 2)
    packed = {"dummy": write_split(dummy, folder / "dummy.npy"), "test_db": write_split(db, folder / "test_db.npy")}
    sets = []
    for number, (name, skill) in enumerate((skills or {"files": 0.5}).items()):
        queries = noise(titles, 10 + number)
        cells = {
            run: write_cell(folder / name / f"{i}.json", run, dummy, db, skill / (i + 1), i, name not in unplaced)
            for i, run in enumerate(runs)
        }
        packed_queries = write_split(queries, folder / f"{name}.npy")
        sets.append({"name": name, **WORDS[name], "packed": packed_queries, "cells": cells})
    settings = {"features": {"n_mels": 64}, "seen": True, "queries": 24, "of_set": 12, "seed": 0}
    return Replay(sets=sets, packed=packed, **settings | changes)


def samples_of(split: Split, song: str, at_s: float) -> np.ndarray:
    """One second of a song of a split, from -1 to 1: by its title and the seconds into it."""
    (clip,) = [row for row in split.clips.to_dict("records") if Path(row["path"]).stem == song]
    first = clip["start"] + round(at_s * 8000)
    return split.audio[first : first + SEGMENT].astype(np.float32) / 32768


def table_of(replay: Replay, number: int = 0, run: str = FULL) -> Path:
    """The per-query table of a run and query set."""
    return Path(replay.sets[number]["cells"][run]).with_suffix(".hits.parquet")


def row_of(table: pd.DataFrame, song: str, at_s: float, length: int = 1) -> pd.Series:
    """The row of a per-query table that is of a query, by its song's title and time."""
    names = table["song"].astype(str).map(lambda path: Path(path).stem)
    (number,) = table.index[(names == song) & (table["start"] == at_s) & (table["length"] == length)]
    return table.loc[number]
