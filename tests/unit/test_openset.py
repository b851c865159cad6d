"""Open set: the best answer of another song, the hit rate at 1 % false accepts, its interval and its picture."""

import faiss
import numpy as np
import pandas as pd
import pytest
from boards import made_up_hits, tabulated, write_cell, write_grid

from nafp.evaluation import openset
from nafp.evaluation.hits import first_and_last_rows, per_query_table
from nafp.evaluation.statistics import clustered_interval
from nafp.report.figures import curves, plots
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import load_cells, pool_seeds, with_intervals
from nafp.report.tables.formats import caption
from nafp.report.tables.layout import layout
from nafp.report.tables.study import Study
from nafp.search.faiss_index import FaissIndex
from nafp.search.sequences import search_sequences
from nafp.search.vectors import Database


def with_open_set(table):
    """A per-query table of one length with the column open_set."""
    accepted = openset.accepted(table["score1"].to_numpy(), table["other_score"].to_numpy())
    return table.assign(open_set=table["top1_song"] & accepted)


def exact(db):
    flat = faiss.IndexFlatIP(db.shape[1])
    flat.add(db)
    return FaissIndex(flat)


def unit(rng, *shape):
    x = rng.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def searched():
    """Four songs of 12 segments; song 3 is nearly a copy of song 1, and the queries are songs 1 and 2 with some noise."""
    rng = np.random.default_rng(0)
    db = unit(rng, 48, 16)
    db[36:] = db[12:24] + 0.1 * unit(rng, 12, 16)
    query = db + 0.2 * unit(rng, 48, 16)
    songs, starts = np.arange(48) // 12, np.arange(12, 36)
    database = Database(db[:0], db)
    index = exact(db)
    lengths = [1, 3]
    results = search_sequences(
        index, database, query, starts, lengths, False, first_and_last_rows(songs, songs[starts])
    )
    return db, query, songs, starts, results


def test_the_best_answer_of_another_song_touches_no_segment_of_the_own(searched):
    db, query, songs, starts, results = searched
    for result in results:
        n = result.length
        for start, place, score in zip(starts, result.other_place, result.other_score, strict=True):
            windows = [at for at in range(48 - n + 1) if songs[start] not in songs[at : at + n]]
            by_hand = {at: np.mean(np.sum(query[start : start + n] * db[at : at + n], axis=1)) for at in windows}
            if songs[start] == 1 and place + n <= 48:  # its copy is always found
                assert place == max(by_hand, key=by_hand.get) and songs[place] == 3
            if place in by_hand:
                assert score == pytest.approx(by_hand[place], abs=1e-6)
            assert songs[start] not in songs[place : place + n]


def test_without_songs_nothing_is_ones_own(searched):
    db, query, songs, starts, _ = searched
    database = Database(db[:0], db)
    (result,) = search_sequences(exact(db), database, query, starts, [3], False)
    np.testing.assert_array_equal(result.other_place, result.place[:, 0])


def test_a_copy_under_another_name_costs_the_open_set_hits_of_a_song(searched):
    _, _, songs, starts, results = searched
    table = per_query_table(results, starts, starts, songs, list("abcd"))
    assert table.loc[table["song"] == "c", "top1_song"].all()
    assert table["open_set"].sum() < table["top1_song"].sum()
    for _, rows in table.groupby("length"):  # no query of 24 may pass without its song
        np.testing.assert_array_equal(
            rows["open_set"], rows["top1_song"] & (rows["score1"] > rows["other_score"].max())
        )


@pytest.mark.parametrize(("queries", "accepted"), [(50, 0), (99, 0), (199, 1), (399, 3)])
def test_another_query_without_its_song_passes_once_in_a_hundred_times(queries, accepted):
    others = np.random.default_rng(1).random(queries).astype(np.float32)
    assert (others > openset.threshold(others)).sum() == accepted


def test_ties_and_nan_are_no_hits():
    rows = pd.DataFrame({"length": 1, "top1_song": True, "score1": [0.5] * 4, "other_score": [0.5] * 4})
    assert not with_open_set(rows)["open_set"].any()
    rows["other_score"] = np.nan
    assert with_open_set(rows)["open_set"].all()
    rows["score1"] = np.nan
    assert not with_open_set(rows)["open_set"].any()


def test_hit_rates_rise_with_the_false_accepts_and_end_at_the_closed_set(tmp_path):
    table = made_up_hits(600, 0.3, 0)
    table.to_parquet(tmp_path / "a.hits.parquet")
    rows, scores = table.query("length == 3"), dict(openset.by_length(tmp_path / "a.hits.parquet"))[3]
    rates = openset.hit_rates(scores, np.array([0, 0.01, 0.1, 0.5, 1]))
    assert (np.diff(rates) >= 0).all() and rates[1] == rows["open_set"].mean()
    lowest = rows["other_score"].min()
    assert rates[-1] == (rows["top1_song"] & (rows["score1"] > lowest)).mean()


def draw_songs(rng, songs, queries):
    """A per-query table of one length, whose songs differ in how well they are known and in how alike others are to them."""
    song = np.repeat(np.arange(songs), queries)
    own = 2.6 + rng.normal(size=songs)[song] + rng.normal(size=len(song))
    other = 0.8 * rng.normal(size=songs)[song] + 0.6 * rng.normal(size=len(song))
    columns = {"song": song.astype(str), "length": 1, "top1_song": own > other, "score1": np.maximum(own, other)}
    return pd.DataFrame(columns | {"other_score": other})


@pytest.mark.parametrize("shape", [(60, 10), (200, 5)])
def test_the_interval_covers_the_truth_with_the_threshold_unknown(tmp_path, shape):
    rng, shares = np.random.default_rng(3), np.array([openset.FALSE_ACCEPTS, 0.1])
    path, covered, fixed = tmp_path / "a.parquet", [], []

    def drawn(songs, queries):
        table = draw_songs(rng, songs, queries)
        table.to_parquet(path)
        return with_open_set(table), openset.of_length([path], 1)

    truth = openset.hit_rates(drawn(40_000, 5)[1][0], shares)
    for _ in range(200):
        table, scores = drawn(*shape)
        low, high = openset.interval(scores, shares)
        of_songs = table.groupby("song")["open_set"].sum().to_numpy()
        at_threshold = clustered_interval(of_songs[None], np.full(*shape))
        covered.append((low <= truth) & (truth <= high))
        fixed.append(at_threshold[0] <= truth[0] <= at_threshold[1])
    assert all(0.92 <= rate <= 0.99 for rate in np.mean(covered, axis=0))
    assert np.mean(fixed) < 0.85  # if the threshold were taken as known


def test_intervals_at_many_shares_are_those_at_each(tmp_path):
    made_up_hits(600, 0.3, 0).to_parquet(tmp_path / "a.hits.parquet")
    scores, shares = openset.of_length([tmp_path / "a.hits.parquet"], 2), np.geomspace(0.001, 1, 13)
    together = openset.interval(scores, shares)
    alone = [openset.interval(scores, shares[i : i + 1])[:, 0] for i in range(len(shares))]
    np.testing.assert_allclose(together.T, alone, rtol=1e-12)
    rates = openset.hit_rates(scores[0], shares)
    assert ((together[0] <= rates) & (rates <= together[1])).all()


def test_cells_show_it_with_its_interval(tmp_path):
    cells = load_cells(write_grid(tmp_path, [{"seed": 0}, {"seed": 1}], ["l2"]))
    pooled = with_intervals(pool_seeds(cells))
    rows = pooled[pooled["match"] == "open set"]
    assert len(rows) == 6
    assert ((rows["low_pct"] <= rows["hit_rate_pct"]) & (rows["hit_rate_pct"] <= rows["high_pct"])).all()
    np.testing.assert_array_equal(rows[["low_pct", "high_pct"]], 100 * openset.intervals(rows["answers"].iloc[0]))


@pytest.mark.parametrize(
    ("queries", "share"), [(60, "1.6 % (for 1 % it takes 99 queries, not 60)"), (99, "1 %"), (150, "1 %")]
)
def test_few_queries_cannot_set_one_percent(tmp_path, queries, share):
    """The highest score of n is passed with probability 1 / (n + 1): caption, tooltips and the legend of the page say that."""
    cells, table = tabulated([write_cell(tmp_path, {}, queries=queries)], Study("few", matches=("exact", "open set")))
    assert f"accepted; at most {share} of the queries are answered once their song is out" in caption(table)
    titles = [entry.title for row in layout(table).blocks[0].groups[0].rows for entry in row]
    assert sum(f"false accepts: at most {share}" in title for title in titles) == 6
    page = Page("T", Top(), [Section("few", "?", table)]).html().replace("\u00a0", " ")
    assert f"where at most {share} of the queries are answered once" in page
    drawn = curves.right_over_false_accepts(cells, ["bsz"]).panels[0].rows
    assert drawn["x"].min() == pytest.approx(100 / (queries + 1))


def test_the_picture_is_drawn_the_same_every_time(tmp_path):
    cells = load_cells(write_grid(tmp_path, [{"bsz": 120}, {"bsz": 240}, {"bsz": 240, "seed": 1}], ["l2"]))
    for name in "ab":
        plots.draw(curves.right_over_false_accepts(cells, ["bsz"]), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").exists()
