"""Two result folders, cell by cell."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from boards import write_cell

from nafp.errors import UserError
from nafp.evaluation.cell import table_beside
from nafp.evaluation.identity import digest_of_audio, name_of_ids
from nafp.report.tables.comparison import compare

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folders(tmp_path):
    """A and B share two cells: one that differs, one that is the same; a third is in A only."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder, skill in ((a, 0.0), (b, -1.0)):
        write_cell(folder / "scores", {"aug": "full"}, queries=200, skill=skill)
        write_cell(folder / "scores", {"aug": "none"}, queries=200, skill=0.0)
    write_cell(a / "scores", {"aug": "tb"}, queries=200)
    return a, b


def change(folder, **over) -> None:
    """Say other things of the cells of a folder."""
    for path in folder.rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | over))


def test_only_what_differs_differs(folders):
    found = compare(*folders)
    assert found.cells == 2
    assert len(found.table) == 2 * 6
    full = found.table[found.table["run"].str.contains("full")].set_index("query_s")
    same = found.table[found.table["run"].str.contains("none")]
    assert (full.loc[1, "p_holm"] < 1e-4) and full.loc[1, "difference"] < -10
    assert same["p"].eq(1).all() and same["difference"].eq(0).all()
    assert found.table["songs"].eq(40).all() and found.table["queries"].eq(200).all()
    assert any("Only in" in remark and "1 cells" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    "over, words",
    [
        ({"dataset": "other"}, "are of data sets with different names"),
        ({"audio": "other songs of the same names and lengths"}, "are of data sets with different audio"),
        ({"database": {"dummy": 5, "db": 2360}}, "searched databases of different sizes"),
        ({"protocol": "release"}, "follow different protocols"),
        ({"query_set": "loud"}, "are of different query sets"),
    ],
)
def test_unrelated_data_sets_with_as_many_queries_are_not_paired(folders, over, words):
    change(folders[1], **over)
    with pytest.raises(UserError, match=f"cannot be compared: the 2 cells that they share {words}$"):
        compare(*folders)


def test_data_sets_are_told_apart_by_names_lengths_and_contents():
    clips = pd.DataFrame(
        {"path": ["a.wav", "b.wav"], "start": [0, 8000], "samples": [8000, 9000], "sha256": ["1", "2"]}
    )

    def digest(**other) -> str:
        return digest_of_audio([clips.assign(**other)])

    assert digest() == digest(start=[5, 6])  # where they are packed is no matter
    others = {"path": ["a.wav", "c.wav"]}, {"samples": [8000, 9001]}, {"sha256": ["1", "3"]}
    assert len({digest(), *(digest(**other) for other in others)}) == 4


def test_test_sequences_are_named_by_what_they_are(tmp_path):
    assert [name_of_ids("all"), name_of_ids(500)] == ["all", 500]
    (tmp_path / "ids.txt").write_bytes(b"1 2 3")
    assert name_of_ids(str(tmp_path / "ids.txt")) == f"sha256:{hashlib.sha256(b'1 2 3').hexdigest()}"
    with pytest.raises(UserError, match="test_ids: .*none.npy cannot be read"):
        name_of_ids(str(tmp_path / "none.npy"))


def test_other_songs_or_times_are_not_paired(folders):
    write_cell(folders[1] / "scores", {"aug": "none"}, queries=150)
    found = compare(*folders)
    assert found.cells == 1
    assert found.remarks[-1].startswith(
        "Not compared: 1 cells, which are of different songs or times (search.test_ids)"
    )


def test_without_per_query_tables_there_is_no_test(folders):
    for path in folders[1].rglob("*full*/**/*.parquet"):
        path.unlink()
    found = compare(*folders)
    assert found.cells == 1 and found.table["run"].str.contains("none").all()
    assert any("Not compared: 1 cells, which lack a per-query table" in remark for remark in found.remarks)


def test_what_cannot_be_compared_is_said(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no cells there"):
        compare(folders[0], tmp_path / "empty")
    shutil.rmtree(folders[1])
    write_cell(folders[1] / "scores", {"aug": "other"}, queries=50)
    with pytest.raises(UserError, match="share no cell"):
        compare(*folders)


def without_places(*folders) -> None:
    """Make cells those of queries of which only the right song can be judged."""
    for path in (path for folder in folders for path in folder.rglob("*.json")):
        hits = json.loads(path.read_text())["hits"]
        change(path.parent, hits={name: hits[name] for name in ("top1_song", "open_set")}, mrr=None)


def test_hits_that_ask_for_an_unknown_place_are_not_compared(folders):
    a, b = folders
    without_places(b / "scores")
    for match in ("exact", "near"):
        says = f"b: {match} hits are not known, because it is not known where .*; take --match song$"
        with pytest.raises(UserError, match=says):
            compare(a, b, match)
    assert compare(a, b, "song").cells == 2
    for folder in (a, b):
        without_places(*(folder / "scores").glob("*full*"))
    write_cell(b / "scores", {"aug": "none"}, queries=200, skill=0.0)
    found = compare(a, b)
    assert found.cells == 1
    assert any("Without hits of this kind" in remark and "b: 1 cells" in remark for remark in found.remarks)


def test_the_command_line(folders):
    command = [sys.executable, str(ROOT / "scripts/compare.py"), *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of 12 numbers in 2 cells differ beyond chance (p < 0.05)." in done.stdout
    assert table_beside("x/l2.json").name == "l2.hits.parquet"
    wrong = subprocess.run([*command[:3], "nowhere"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "error: nowhere: no cells there" in wrong.stderr
