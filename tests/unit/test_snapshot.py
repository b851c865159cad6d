"""Snapshots of scoreboards: small, whole, and compared like the results that they are of."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from boards import FIELDS, facts, write_cell
from compared import write_results

from nafp.errors import UserError
from nafp.evaluation.cell import table_beside
from nafp.evaluation.metrics import METRICS, Metric
from nafp.evaluation.song_hits import read_hits
from nafp.grid import run_name
from nafp.report.page.comparison import boards_table
from nafp.report.snapshot import contents, take_snapshot
from nafp.report.tables.comparison import line_up, read_boards

ROOT = Path(__file__).parents[2]
CELL = f"scores/{run_name(FIELDS)}/epoch=best/l2.json"


@pytest.fixture
def results(tmp_path):
    """A result folder with much that a snapshot does not need."""
    folder = write_results(tmp_path / "results/demo", 21)
    for name in ("scoreboard/table3.csv", "scoreboard/index.html", "scoreboard/so_far/table3.csv", "runs/x/weights"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_what_it_holds(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = take_snapshot(Path("results/demo"))
    assert folder == Path("history/demo/2026-11-21-5333ce5cb4af")
    runs = [run_name(FIELDS | {"aug": aug}) for aug in ("full", "none")]
    cells = [f"scores/{run}/epoch=best/{index}" for run in runs for index in ("l2", "ivfpq")]
    kept = {f"{cell}.{kind}" for cell in cells for kind in ("json", "hits.parquet")}
    assert set(contents(folder)) == kept | {f"runs/{run}/provenance.json" for run in runs} | {"scoreboard/table3.csv"}
    assert (folder / CELL).read_bytes() == (results / CELL).read_bytes()
    assert list((tmp_path / "history/demo").iterdir()) == [tmp_path / folder]  # nothing half done is left


def test_it_compares_as_what_it_is_of(results, tmp_path):
    other = write_results(tmp_path / "other", 22, better={"full": -0.6})
    folder = take_snapshot(results, tmp_path / "kept")
    of_snapshot, of_results = (line_up(read_boards([one, other]), "all").table for one in (folder, results))
    numbers = ["hit_rate_pct", "low_pct", "high_pct", "difference", "difference_low", "difference_high", "p", "p_holm"]
    pd.testing.assert_frame_equal(of_snapshot[numbers], of_results[numbers])
    assert line_up(read_boards([results, folder]), "all").tested["difference"].eq(0).all()
    assert boards_table(read_boards([results, folder])).differences.startswith("none: ")


def test_it_can_be_read_when_there_is_another_metric(results, tmp_path, monkeypatch):
    """Kept before the metric was there, and so of it nothing is known."""
    other = write_results(tmp_path / "other", 22, better={"full": -0.6})
    kept = take_snapshot(results, tmp_path / "kept")
    before = line_up(read_boards([kept, other]), "all").table
    monkeypatch.setitem(METRICS, "top2", Metric("top2_exact", lambda judged: judged.rank <= 2, "the best two"))
    read_hits.cache_clear()
    again = take_snapshot(results, tmp_path / "again")
    for folder in (kept, again):
        found = line_up(read_boards([folder, other]), "all").table.replace("again", "kept")
        pd.testing.assert_frame_equal(found.drop(columns=["file", "answers"]), before.drop(columns=["file", "answers"]))
    with pytest.raises(UserError, match="top2 hits are not known"):
        line_up(read_boards([kept, other]), "top2")
    new = write_results(tmp_path / "new", 23)
    table = line_up(read_boards([kept, new]), "all").table
    assert table.loc[table["match"].eq("top2"), "board"].unique().tolist() == ["new"]
    assert table.loc[table["match"].eq("top2"), "p"].isna().all()
    monkeypatch.undo()  # and without the metric the new one can be read
    read_hits.cache_clear()
    without = line_up(read_boards([kept, new]), "all").table
    columns = ["board", "cell", "match", "query_s", "hits", "p", "difference_low"]
    expected = table.loc[table["match"].ne("top2"), columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(without[columns], expected)


def test_it_is_small(tmp_path):
    cell = write_cell(tmp_path / "demo/scores", {}, queries=2000)
    folder = take_snapshot(tmp_path / "demo", tmp_path / "kept")
    size = sum(map(len, contents(folder).values()))
    assert size < 15_000 and size < table_beside(cell).stat().st_size / 50  # what docs/evaluation.md says of it


def test_the_same_one_again_changes_nothing_and_another_is_refused(results, tmp_path):
    folder = take_snapshot(results, tmp_path / "kept")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert take_snapshot(results, folder) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (results / "scoreboard/table3.csv").write_text("other")
    with pytest.raises(UserError, match="kept is there already and holds something else; give another folder"):
        take_snapshot(results, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert not (tmp_path / "kept.part").exists()


def test_its_name_says_whether_the_code_was_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_results(Path("demo"), 21)
    write_cell(Path("demo/scores"), {}, "hnsw", provenance={"search": facts(date="2026-12-01", changed=True)})
    assert take_snapshot(Path("demo")) == Path("history/demo/2026-12-01-5333ce5cb4af-changed")


def test_what_cannot_be_kept_is_said(results, tmp_path):
    with pytest.raises(UserError, match="none: no scores/ there; give a folder like results/demo"):
        take_snapshot(tmp_path / "none")
    with pytest.raises(UserError, match="epoch=best: no scores/ there"):
        take_snapshot((results / CELL).parent)
    unnamed = write_results(tmp_path / "unnamed", provenance=None)
    with pytest.raises(UserError, match="do not say when they were made; give a folder for the snapshot"):
        take_snapshot(unnamed)
    table_beside(results / CELL).write_bytes(b"PAR1")
    with pytest.raises(UserError, match="l2.hits.parquet: cannot be read, it is damaged or missing"):
        take_snapshot(results, tmp_path / "kept")
    assert not (tmp_path / "kept").exists() and not (tmp_path / "kept.part").exists()


def test_a_cell_without_a_per_query_table_is_kept(results, tmp_path):
    table_beside(results / CELL).unlink()
    folder = take_snapshot(results, tmp_path / "kept")
    assert json.loads((folder / CELL).read_text())["index"] == "l2" and not table_beside(folder / CELL).exists()


def test_the_commands_in_their_order(results, tmp_path):
    """Keep one, then compare all that was kept with what there is now."""

    def run(name: str, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / f"scripts/{name}.py"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("snapshot", "results/demo").startswith("history/demo/2026-11-21-5333ce5cb4af: 11 files, 0.0")
    write_results(results, 22, better={"none": -0.6})
    run("snapshot", "results/demo")
    kept = [f"history/demo/2026-11-{day}-5333ce5cb4af" for day in (22, 21)]
    said = run("compare", *kept, "results/demo", "--page", "history.html")
    assert "differ from the scoreboard before beyond chance" in said
    assert "2026-11-22-5333ce5cb4af finds" in said and "fewer than 2026-11-21-5333ce5cb4af" in said
    assert (tmp_path / "history.html").stat().st_size > 20_000
