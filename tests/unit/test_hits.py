"""What counts as a hit: by hand, ties and NaN, per-query tables, and a metric of one's own from its row to the table."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from answers import FALLING, exact, hits_of
from boards import FIELDS, LENGTHS, tabulated, write_cell
from indexes import unit, vectors

from nafp.audio.songs import songs_of_rows
from nafp.config.schema import schema_problems
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.hits import RANKS, offset_error_ms, per_query_table, rank_of_truth
from nafp.evaluation.metrics import METRICS, Metric
from nafp.evaluation.protocol import PROTOCOLS
from nafp.grid import run_name
from nafp.report.tables.study import Study
from nafp.search.result import KEPT, Result
from nafp.search.sequences import search_sequences

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())


def test_hits_by_hand():
    place = np.full((4, KEPT), -1)
    place[0, 0], place[1, 0], place[2, 2], place[3, 9] = 7, 6, 7, 7
    found = hits_of(place, FALLING, np.array([7, 7, 7, 7]))
    assert found["top1_exact"].tolist() == [True, False, False, False]
    assert found["top1_near"].tolist() == [True, True, False, False]
    assert found["top3_exact"].tolist() == [True, False, True, False]
    assert found["top10_exact"].tolist() == [True, False, True, True]
    nothing = np.full((1, KEPT), -1), np.full((1, KEPT), -np.inf)
    assert not any(level.any() for level in hits_of(*nothing, np.array([0])).values())  # -1 is no neighbour of 0


@pytest.mark.parametrize("across, near", [(False, [False, True]), (True, [True, True])])
def test_the_last_segment_of_the_song_before_is_not_near(across, near):
    """Song 0 ends with row 3, song 1 begins with row 4, which is right; only the original evaluation counts row 3."""
    place, score = np.array([[3, 7], [5, 7]]), np.array([[0.9, 0.1], [0.9, 0.1]])
    answers = Result(1, place, score, np.zeros(2, int), np.zeros(2), 0.1, 0.1)
    how = None, True, across
    table = per_query_table([answers], np.zeros(2, int), np.array([4, 4]), np.repeat([0, 1], 4), ["a", "b"], *how)
    assert table["top1_near"].tolist() == near
    assert table["top1_song"].tolist() == [False, True]
    assert PROTOCOLS["release"].near_across_songs and not PROTOCOLS["clip"].near_across_songs


@pytest.mark.parametrize("other, level", [(9, "top1_exact"), (8, "top1_exact"), (9, "top1_near"), (20, "top1_song")])
def test_a_tie_is_no_hit(other, level):
    """Row 7 is right, and another one has the same score, whichever of them comes first."""
    songs = np.repeat([0, 1], 15)
    for place in ([[7, other, 3, *[-1] * 7]], [[other, 7, 3, *[-1] * 7]]):
        score = np.array([[0.9, 0.9, 0.5, *[-np.inf] * 7]], np.float32)
        assert not hits_of(np.array(place), score, np.array([7]), songs)[level][0]
        found = hits_of(np.array(place), np.nextafter(score, [[2, -2] + [0] * 8]), np.array([7]), songs)
        assert found[level][0] == (place[0][0] == 7 or (other == 8 and level == "top1_near"))


def test_what_holds_for_all_best_places_is_a_hit():
    """Places 6 and 7 tie: not exact, but near, and the right song; the right one's rank is 2."""
    place, score = np.array([[7, 6, *[-1] * 8]]), np.array([[0.9, 0.9, *[-np.inf] * 8]])
    found = hits_of(place, score, np.array([7]), np.zeros(20, int))
    assert {name: one[0] for name, one in found.items()} == {
        **{"top1_exact": False, "top1_near": True, "top1_song": True, "top3_exact": True, "top10_exact": True},
        "open_set": True,  # no other song has an answer
    }
    assert rank_of_truth(place, score, np.array([7])) == 2


@pytest.mark.parametrize("behind, hit", [(0.1, False), (0.05, True)])
def test_a_tie_with_the_tenth_is_seen(behind, hit):
    """The right place is the tenth, and the eleventh may have the same score, which then counts first."""
    place, score = np.arange(KEPT)[None], np.append(np.linspace(1, 0.1, RANKS), behind)[None]
    answers = Result(1, place, score, np.zeros(1, int), np.zeros(1), 0.1, 0.1)
    table = per_query_table([answers], np.zeros(1, int), np.array([9]), np.zeros(20, int), ["a"])
    assert table["top10_exact"].tolist() == [hit] and table["rr"].tolist() == [0.1 * hit]
    assert "place10" in table and "place11" not in table
    assert KEPT == RANKS + 1
    of_eleventh = per_query_table([answers], np.zeros(1, int), np.array([10]), np.zeros(20, int), ["a"])
    assert of_eleventh["rr"].tolist() == [0]


def test_the_right_place_counts_once():
    """Two answers of a method may lie in one segment."""
    place, score = np.array([[7, 7, 3, *[-1] * 8]]), np.array([[0.9, 0.9, 0.9, *[-np.inf] * 8]])
    assert rank_of_truth(place, score, np.array([7])) == 2
    score[0, 2] = 0.5
    assert rank_of_truth(place, score, np.array([7])) == 1


def test_a_model_that_collapsed_finds_nothing():
    """All fingerprints are the same, so all scores are: the first rows are the right ones, by no merit."""
    vectors_ = np.tile(unit(np.ones((1, 16))), (40, 1))
    starts = np.arange(30)
    (result,) = search_sequences(*exact(vectors_[:0], vectors_), vectors_, starts, [1])
    assert (result.place == starts[:, None]).any()
    songs = np.repeat(np.arange(4), 10)
    assert not any(level.any() for level in hits_of(result.place, result.score, starts, songs).values())
    assert np.isinf(rank_of_truth(result.place, result.score, starts)).all()
    table = per_query_table([result], starts, starts, songs, list("abcd"))
    assert table["rr"].eq(0).all() and table["offset_ms"].isna().all()


def test_a_song_that_is_there_twice_is_no_hit():
    dummy, db = vectors(0, 30), vectors(1, 20)
    database = np.concatenate([dummy, db])  # the distractors hold the test song, too
    results = search_sequences(*exact(database, db), db, np.arange(15), [1, 3])
    for result in results:
        assert not hits_of(result.place, result.score, np.arange(15) + 50)["top1_exact"].any()


def test_a_nan_is_no_hit_and_spoils_no_other_query():
    dummy, db = vectors(0, 30), vectors(1, 20)
    index, database = exact(dummy, db)
    query = db.copy()
    query[4] = np.nan
    index.nearest = lambda query, k: np.tile(np.arange(30, 50), (len(query), 1))  # an index that answers all the same
    for result in search_sequences(index, database, query, np.arange(15), [1, 3]):
        found = hits_of(result.place, result.score, np.arange(15) + 30, songs=np.arange(50))
        lost = np.isin(np.arange(15), np.arange(5 - result.length, 5))
        for level in found.values():
            assert level.tolist() == (~lost).tolist()
        assert not np.isnan(result.score).any()


def test_song_level_rank_and_offset_by_hand():
    songs = songs_of_rows([12000, 8000], [16000])  # 2, 1 and 3 segments
    assert songs.tolist() == [0, 0, 1, 2, 2, 2]
    place = np.full((4, KEPT), -1)
    place[0, :2], place[1, 0], place[2, :3] = (3, 5), 2, (5, 4, 3)
    truth = np.array([5, 5, 3, 3])
    score = np.where(place >= 0, FALLING, -np.inf)
    assert hits_of(place, score, truth, songs)["top1_song"].tolist() == [True, False, True, False]
    assert rank_of_truth(place, score, truth).tolist() == [2, np.inf, 3, np.inf]
    np.testing.assert_array_equal(offset_error_ms(place, truth, songs), [1000, np.nan, 1000, np.nan])


def test_per_query_table_holds_every_hit():
    dummy, db = vectors(0, 200), vectors(1, 50)
    starts = np.arange(40)
    results = search_sequences(*exact(dummy, db), db, starts, [1, 3])
    table = per_query_table(results, starts, starts + 200, np.repeat(np.arange(10), 25), [f"s{i}" for i in range(10)])
    assert len(table) == 80
    assert table["top1_exact"].all()
    assert table["top1_song"].all()
    assert (table["rr"] == 1).all()
    assert (table["offset_ms"] == 0).all()
    assert (table["place1"] == table["truth"]).all()
    assert table["song"].tolist() == 2 * (25 * ["s8"] + 15 * ["s9"])
    assert table["start"].tolist() == 2 * [*np.arange(25) / 2, *np.arange(15) / 2]  # seconds into the song
    assert list(table["song"].cat.categories) == ["s8", "s9"]  # not the songs that nobody asked for


# ---------------------------------------------------------------- a metric of one's own


@pytest.fixture
def top2(monkeypatch):
    """The metric top2, registered."""
    metric = Metric("top2_exact", lambda judged: judged.rank <= 2, "the right segment among the best two")
    monkeypatch.setitem(METRICS, "top2", metric)
    return metric


def test_a_metric_is_one_row(top2, tmp_path):
    """It is counted into the cell, tested, shown in the table and allowed in the config."""
    paths = [write_cell(tmp_path, {"aug": aug}, skill=skill) for aug, skill in (("full", 0.5), ("none", -0.5))]
    table = pd.read_parquet(table_beside(paths[0]))
    score = table[[f"score{i + 1}" for i in range(RANKS)]].to_numpy()
    place = table[[f"place{i + 1}" for i in range(RANKS)]].to_numpy()
    by_hand = (place[:, :2] == table[["truth"]].to_numpy()).any(axis=1) & (score[:, 1] > score[:, 2])
    assert table[top2.column].tolist() == by_hand.tolist()
    counted = [int(by_hand[table["length"] == length].sum()) for length in LENGTHS]
    assert Cell.read(paths[0]).hits[top2.column] == counted
    study = Study("mine", ["aug"], matches=["top2"], baseline=(run_name(FIELDS), "l2"))
    _, shown = tabulated(paths, study)
    assert shown["match"].unique().tolist() == ["top2"] and shown["p"].notna().sum() == len(LENGTHS)
    assert shown["hits"].tolist()[: len(LENGTHS)] == counted
    assert schema_problems(CONFIG | {"studies": {"mine": {"matches": ["top2"]}}}, ROOT) == []


def test_an_unknown_metric_is_refused_with_the_known_ones():
    (problem,) = schema_problems(CONFIG | {"studies": {"mine": {"matches": ["top2"]}}}, ROOT)
    assert problem == ("studies.mine.matches.0: 'top2' is not known; known: exact, near, top3, top10, song, open set")


# ---------------------------------------------------------------- the cell and the table beside it


def test_a_cell_is_read_as_it_was_written(tmp_path):
    path = write_cell(
        tmp_path, {}, query_set="loud", snr_db=None, query_chain=[{"peak_normalize": None}], memory_bytes=None
    )
    cell, stated = Cell.read(path), json.loads(path.read_text())
    assert (cell.snr_db, cell.memory_bytes, cell.offset_ms) == (None, None, stated["offset_ms"])
    assert stated["snr_db"] is None and stated["memory_bytes"] is None  # said, not left out
    assert cell.stated() == stated and list(cell.stated()) == list(stated)
    assert "provenance" not in stated
    cell.write(tmp_path / "again.json", pd.read_parquet(table_beside(path)))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "over, words",
    [
        ({"hits": {"top1_exact": [1]}}, "has 1 values for 6"),
        ({"mrr": [0.5]}, "mrr has 1 values"),
        ({"hits": {"top1_exact": [501] * 6}}, "hits must lie between 0 and the 500"),
    ],
)
def test_a_cell_that_contradicts_itself_is_not_written(over, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        write_cell(tmp_path, {}, **over)
    assert not list(tmp_path.rglob("*.json"))
