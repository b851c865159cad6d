"""Fingerprints and clip tables opened for a search: what must fit, and the cell of what is found."""

import numpy as np
import pandas as pd
import pytest

from nafp.errors import UserError
from nafp.evaluation.searched import Searched
from nafp.search.external import Grid
from nafp.search.index import build_index, read_index

SAMPLES = {"dummy": [16_000, 24_000], "db": [20_000, 12_000], "query": [20_000, 12_000]}  # rows: 3 + 5, 4 + 2, 4 + 2
SEARCH = {"lengths": [1, 2], "protocol": "clip", "seed": 0, "test_ids": "all"}


@pytest.fixture
def files(tmp_path):
    """Fingerprints by which each query segment is the segment of its song."""
    vectors = np.eye(14, dtype=np.float32)
    for name, rows in {"dummy": vectors[:8], "db": vectors[8:], "query": vectors[8:]}.items():
        np.save(tmp_path / f"{name}.npy", rows)
        songs = [f"{name}/{number}.wav" for number in range(2)]
        pd.DataFrame({"path": songs, "samples": SAMPLES[name]}).to_csv(tmp_path / f"{name}.csv", index=False)
    tables = {"songs": [tmp_path / "dummy.csv", tmp_path / "db.csv"], "clips": tmp_path / "query.csv"}
    return {name: tmp_path / f"{name}.npy" for name in SAMPLES} | tables


def test_the_cell_of_a_search(files, tmp_path):
    searched = Searched.open(files, SEARCH)
    build_index("l2", {}, searched.database, tmp_path / "l2")
    index = read_index("l2", {}, tmp_path / "l2", searched.database)
    facts = {"dataset": "made up", "run": "external=x", "fields": {"external": "x"}, "index": "l2"}
    cell, table = searched.cell(index, [1.0], distractors="generated", **facts)
    assert searched.question.songs.tolist() == [0] * 3 + [1] * 5 + [2] * 4 + [3] * 2
    assert table["truth"].tolist() == 2 * [8, 9, 10, 12] and table["song"].tolist() == 2 * [
        *3 * ["db/0.wav"],
        "db/1.wav",
    ]
    assert cell.database == {"generated": 8, "db": 6} and cell.hits["top1_exact"] == [4, 4]
    assert (cell.seconds, cell.protocol, cell.test_ids, cell.fingerprints) == ([1.0, 1.5], "clip", "all", None)
    assert cell.recall["nearest"] == 1 and len(cell.ms_per_query) == 2 and cell.ms_per_segment > 0


@pytest.mark.parametrize(
    "name, grid, says",
    [
        ("db", None, "db.npy: has 5 fingerprints, but the test songs have 6 segments"),
        ("query", None, "query.npy: has 5 fingerprints, but the test queries have 6 segments"),
        ("", Grid(1, 1), "dummy.npy: has 8 fingerprints, but the dummy songs have 5 segments .1 s, every 1 s"),
    ],
)
def test_fingerprints_that_do_not_fit_their_clips_are_refused(files, name, grid, says):
    if name:
        np.save(files[name], np.load(files[name])[:-1])
    with pytest.raises(UserError, match=says):
        Searched.open(files, SEARCH, grid or Grid())


def test_a_damaged_clip_table_is_named(files):
    files["clips"].write_bytes(b"")
    with pytest.raises(UserError, match=r"query.csv: cannot be read, it is damaged"):
        Searched.open(files, SEARCH)
