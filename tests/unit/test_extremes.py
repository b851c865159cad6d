"""Extrapolation to larger databases: against tails whose hit rate at any size is known by formula."""

from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import genpareto

from nafp.errors import UserError
from nafp.evaluation.asked import Asked
from nafp.evaluation.estimates import Plan, by_extremes, by_generator, none_among
from nafp.evaluation.extrapolation import COLUMNS, FEWEST_SONGS, extrapolate, peaks_of, random_parts
from nafp.evaluation.extremes import (
    CHECKED,
    EXTREMES,
    GENERATED,
    PREDICTED,
    TREND,
    Peaks,
    fit_tails,
    hit_chances,
    shrunken,
)
from nafp.evaluation.generated import fit_songs
from nafp.evaluation.hits import per_query_table
from nafp.evaluation.protocol import PROTOCOLS
from nafp.evaluation.scale import measure
from nafp.evaluation.song_scores import Kept, Sequences, blocks, score_own_songs, score_songs
from nafp.search.index import build_index, read_index
from nafp.search.sequences import search_sequences
from nafp.search.vectors import Database

SHAPES = {"exponential": 0.0, "bounded, as of a Beta distribution": -0.25, "heavy": 0.2}
REACH = {0.0: 0.7, -0.25: 0.2, 0.2: 0.8}  # scores of right places above the origin of a tail, at most
SONGS, TAIL = 60, 12


def peaks(right: np.ndarray, scores: np.ndarray, k: int = TAIL) -> Peaks:
    """What is kept of right scores (q,) and scores (q, songs) of distractors."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, : k + 1]
    beaten = (scores >= right[:, None]).sum(axis=1)
    there = np.full(len(right), scores.shape[1])
    return Peaks(right, np.ones(len(right), bool), beaten, there, np.take_along_axis(scores, order, axis=1), order)


def made_up(shape: float, queries: int, seed: int, songs: int = SONGS) -> tuple[Peaks, np.ndarray]:
    """Queries whose distractors have tails of different scales and places, and the share of songs above each right score."""
    rng = np.random.default_rng(seed)
    scale = 0.05 * np.exp(rng.normal(0, 0.3, (queries, 1)))
    origin = rng.normal(0.3, 0.05, (queries, 1))
    scores = origin + scale * genpareto.ppf(rng.random((queries, songs)), shape)
    right = origin[:, 0] + REACH[shape] * rng.random(queries)
    return peaks(right, scores), genpareto.sf((right - origin[:, 0]) / scale[:, 0], shape)


def fitted(some: Peaks) -> np.ndarray:
    """Chances of hits at 1, 10 and 100 times the songs, by the fit to all queries alike."""
    tails = fit_tails(some, np.ones(len(some.right)), np.ones(some.song.max() + 1))
    return hit_chances(some, tails, SONGS * np.array([1, 10, 100]))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_hit_rate_at_a_hundred_times_the_songs(shape):
    found, true, shapes = [], [], []
    for seed in range(6):
        some, above = made_up(shape, 1000, seed)
        found.append(fitted(some).mean(axis=0))
        true.append([((1 - above) ** (SONGS * times)).mean() for times in (1, 10, 100)])
        shapes.append(fit_tails(some, np.ones(1000), np.ones(SONGS)).shape)
    np.testing.assert_allclose(np.mean(found, axis=0), np.mean(true, axis=0), atol=0.015)
    assert np.mean(true, axis=0)[0] - np.mean(true, axis=0)[2] > 0.1  # there is something to predict
    assert np.mean(shapes) == pytest.approx(shape, abs=0.03)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_few_exceedances_of_each_query_do_not_bias_the_shared_shape(shape):
    """Where the maximum likelihood of one shape and a scale for each query would be far off."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.1, 1, (20000, 1)) * genpareto.ppf(rng.random((20000, 12)), shape)
    few = peaks(scores.max(axis=1) + 1, scores, k=3)
    assert fit_tails(few, np.ones(20000), np.ones(12)).shape == pytest.approx(shape, abs=0.03)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_intervals_hold_the_true_rate(shape):
    """Songs of queries that differ, five queries each, and distractor songs that are near to all queries or to none."""
    held, widths = [], []
    for seed in range(25):
        rng, songs = np.random.default_rng(seed), np.repeat(np.arange(40), 5)
        ease = rng.random(40)[songs]
        near = 0.5 * rng.random((1, SONGS)) + 0.5 * rng.random((200, SONGS))  # not independent between queries
        rank = near.argsort(axis=1).argsort(axis=1)
        uniform = np.sort(rng.random((200, SONGS)), axis=1)
        scores = 0.05 * genpareto.ppf(np.take_along_axis(uniform, rank, axis=1), shape)
        right = REACH[shape] * ease
        estimate = by_extremes(peaks(right, scores), songs, np.array([30 * SONGS]), seed)
        low, high = np.quantile(estimate.rates[1:, 0], [0.025, 0.975])
        grid = REACH[shape] * (np.arange(2000) + 0.5) / 2000
        true = ((1 - genpareto.sf(grid / 0.05, shape)) ** (30 * SONGS)).mean()
        held.append(low <= true <= high)
        widths.append(high - low)
    assert np.mean(held) >= 0.84  # 21 of 25; 95 % intervals hold fewer once in 150 times
    assert np.mean(widths) < 0.5


def test_always_right_stays_right():
    some, _ = made_up(-0.25, 200, 0)
    sure = peaks(np.full(200, 9.0), np.sort(np.random.default_rng(0).random((200, SONGS)))[:, ::-1])
    estimate = by_extremes(sure, np.repeat(np.arange(20), 10), np.array([SONGS, 1e8]), 0)
    np.testing.assert_allclose(estimate.rates[0], 1, atol=1e-6)
    low, high = np.quantile(estimate.rates[1:], [0.025, 0.975], axis=0)
    assert (low > 0.8).all() and (high > 0.99).all()
    assert some.hits.mean() < 1


def test_a_guess_is_right_once_in_as_many_songs():
    """Right scores that are drawn as those of the songs: the first of N + 1 is any of them."""
    scores = np.random.default_rng(0).exponential(size=(60000, 51))
    found = peaks(scores[:, 0], scores[:, 1:])
    tails = fit_tails(found, np.ones(60000), np.ones(50))
    sizes = np.array([50, 100, 500])
    np.testing.assert_allclose(hit_chances(found, tails, sizes).mean(axis=0), 1 / (sizes + 1), rtol=0.1)


def test_the_songs_that_are_there_are_counted_not_modelled():
    some, _ = made_up(0.0, 500, 3)
    np.testing.assert_array_equal(fitted(some)[:, 0] > 0, some.hits)
    np.testing.assert_allclose(fitted(some)[some.hits, 0], 1)
    assert (np.diff(fitted(some), axis=1) <= 0).all()


def test_without_a_score_there_is_no_hit(songs):
    """Of queries that the protocol gives no right place: their windows end in another song."""
    database, of_rows, query = songs
    asked = Sequences(query, *2 * [np.array([SEGMENTS - 1, 0])], [3])
    own = score_own_songs(asked, database.db, of_rows[len(database.dummy) :], PROTOCOLS["nmfp"])
    of_query = of_rows[len(database.dummy) + asked.starts]
    everything = [(np.ones(DUMMY + TEST, bool), 5)]
    (kept,) = score_songs(asked, blocks(database, of_rows), of_query, {3: own[3][0]}, everything)[3]
    found = peaks_of(kept, *own[3], of_query, 4)
    assert np.isnan(found.right[0]) and not found.hits[0]
    assert by_extremes(found, np.array([0, 1]), np.array([46, 1e3]), 0).rates[0].max() <= 0.5


def test_equal_scales_are_not_told_apart_by_chance():
    rng = np.random.default_rng(0)
    nodes = shrunken(rng.gamma(5, 1 / 5, 5000), np.ones(5000), 5)
    assert nodes.mean(axis=1).std() < 0.1 and nodes.mean() == pytest.approx(1, abs=0.05)
    scales = np.exp(rng.normal(0, 0.5, 5000))
    nodes = shrunken(scales * rng.gamma(200, 1 / 200, 5000), np.ones(5000), 200)
    np.testing.assert_allclose(np.median(nodes, axis=1), scales, rtol=0.5)


def test_none_of_some_songs_in_a_part():
    """Against counting: 2 songs of 5 are better; 3 are drawn; 1 of the 10 ways has none of the two."""
    found = none_among(np.array([[0], [2], [3]]), np.array([[5]]), np.array([1, 3, 5]))
    np.testing.assert_allclose(found, [[1, 1, 1], [0.6, 0.1, 0], [0.4, 0, 0]], atol=1e-12)


# ---------------------------------------------------------------- exact scores


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


SEGMENTS, DUMMY, TEST = 12, 40, 6
STARTS = np.concatenate([np.arange(at, at + 8) for at in range(0, TEST * SEGMENTS, SEGMENTS)])


def asked_at(starts: np.ndarray) -> Asked:
    """Sequences of queries that are whole songs."""
    return Asked(starts, starts, None)


ASKED = asked_at(STARTS)


@pytest.fixture(scope="module")
def songs() -> tuple[Database, np.ndarray, np.ndarray]:
    """A database of DUMMY and TEST songs of SEGMENTS segments, the song of each row, and noisy queries."""
    rng = np.random.default_rng(0)
    kinds = unit(rng.standard_normal((DUMMY + TEST, 1, 8)) + 0.8 * rng.standard_normal((DUMMY + TEST, SEGMENTS, 8)))
    rows = kinds.reshape(-1, 8)
    database = Database(rows[: DUMMY * SEGMENTS], rows[DUMMY * SEGMENTS :])
    query = unit(database.db + 0.4 * rng.standard_normal(database.db.shape))
    return database, np.repeat(np.arange(DUMMY + TEST), SEGMENTS), query


def naive(database: Database, query: np.ndarray, length: int) -> np.ndarray:
    """(q, rows) mean inner products one by one; NaN where a window ends in another song."""
    rows = np.concatenate([database.dummy, database.db])
    scores = np.full((len(STARTS), len(rows)), np.nan)
    for place in range(len(rows) - length + 1):
        if place // SEGMENTS == (place + length - 1) // SEGMENTS:
            for i, start in enumerate(STARTS):
                scores[i, place] = (query[start : start + length] * rows[place : place + length]).sum() / length
    return scores


def test_queries_that_are_pieces_of_songs_in_any_order(songs, tmp_path):
    """The scale study and the extrapolation of all the data count the hits that a cell counts."""
    database, of_rows, query = songs
    begins = np.random.default_rng(1).permutation(np.arange(0, len(query), SEGMENTS).repeat(2) + [0, 4] * TEST)
    query = np.concatenate([query[begin : begin + 8] for begin in begins])
    clips = pd.DataFrame({"path": [f"{i}.wav" for i in range(TEST)], "samples": 4000 * (SEGMENTS + 1)})
    pieces = pd.DataFrame({"song": clips["path"].to_numpy()[begins // SEGMENTS], "song_start_s": begins % SEGMENTS / 2})
    search = {"test_ids": "all", "protocol": "clip", "lengths": [1, 3], "seed": 0}
    asked = Asked.of(clips, pieces.assign(samples=4000 * 9), search)
    truth, names = asked.right + len(database.dummy), [f"song {i}" for i in range(DUMMY + TEST)]
    build_index("l2", {}, database, tmp_path / "l2")
    index = read_index("l2", {}, tmp_path / "l2", database)
    found = search_sequences(index, database, query, asked.starts, [1, 3], progress=False)
    cell = per_query_table(found, asked.starts, truth, of_rows, names).groupby("length")["top1_exact"].mean()
    assert cell.between(0.05, 0.95).all()
    grown = measure("l2", {}, database, query, of_rows[len(database.dummy) :], asked, [1, 3], [0.1, 1.0])
    whole = grown[grown["segments"] == len(database)].groupby("length")
    pd.testing.assert_series_equal(whole["hit"].mean(), cell, check_names=False)
    assert all((song == of_rows[truth]).all() for _, song in whole["song"])
    table = extrapolate(database, of_rows, query, asked, [1], PROTOCOLS["clip"], PLAN)
    known = table[table["measured_pct"].notna() & table["kind"].eq(PREDICTED)]
    np.testing.assert_allclose(known["measured_pct"], 100 * cell[1])
    unknown = replace(asked, placed=False)
    with pytest.raises(
        UserError, match="scale: the table of queries does not say where in their songs all of them are"
    ):
        measure("l2", {}, database, query, of_rows, unknown, [1], [0.1, 1.0])
    with pytest.raises(UserError, match="extrapolation: the table of queries does not say where"):
        extrapolate(database, of_rows, query, unknown, [1], PROTOCOLS["clip"], PLAN)


@pytest.mark.parametrize("length", [1, 3, 5])
def test_the_scores_of_the_stream(songs, length, monkeypatch):
    database, of_rows, query = songs
    monkeypatch.setattr("nafp.evaluation.song_scores.ROWS", 50)  # several blocks, and chunks of queries
    monkeypatch.setattr("nafp.evaluation.song_scores.SCORES", 500)
    asked, scores = Sequences(query, STARTS, STARTS, [1, 3, 5]), naive(database, query, length)
    own = score_own_songs(asked, database.db, of_rows[len(database.dummy) :], PROTOCOLS["nmfp"])
    right, wrong = own[length]
    truth, line = len(database.dummy) + STARTS, np.arange(len(STARTS))
    np.testing.assert_allclose(right, scores[line, truth], atol=1e-6)
    of_own = of_rows == of_rows[truth][:, None]
    others = np.where(of_own, scores, np.nan)
    others[line, truth] = np.nan
    np.testing.assert_allclose(wrong, np.nanmax(others, axis=1), atol=1e-6)
    best = np.nanmax(np.where(of_own, np.nan, scores).reshape(len(STARTS), -1, SEGMENTS), axis=2, initial=-np.inf)
    some = np.random.default_rng(0).random(DUMMY + TEST) < 0.5
    stream, right_of = blocks(database, of_rows), {n: one for n, (one, _) in own.items()}
    whole, part = score_songs(asked, stream, of_rows[truth], right_of, [(some | True, 7), (some, 7)])[length]
    np.testing.assert_allclose(whole.top, -np.sort(-best, axis=1)[:, :7], atol=1e-6)
    np.testing.assert_allclose(part.top, -np.sort(-best[:, some], axis=1)[:, :7], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(best, whole.song, axis=1), whole.top, atol=1e-6)
    np.testing.assert_array_equal(whole.beaten, (best >= right[:, None]).sum(axis=1))
    np.testing.assert_array_equal(part.beaten, (best[:, some] >= right[:, None]).sum(axis=1))
    assert part.song[part.song >= 0].size and some[part.song].all()


class Exhaustive:
    """An index that proposes every row."""

    def __init__(self, rows: int):
        self.rows = rows

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        return np.tile(np.arange(self.rows), (len(query), 1))


@pytest.mark.parametrize("name", ["clip", "release", "nmfp"])
def test_right_places_have_the_scores_of_the_search(songs, name):
    """Under every protocol, to the last row of the database."""
    database, of_rows, query = songs
    starts, protocol = np.array([0, 3, 35, 40, 69, 71]), PROTOCOLS[name]
    asked = Sequences(query, starts, starts, [1, 3, 5])
    own = score_own_songs(asked, database.db, of_rows[len(database.dummy) :], protocol)
    within = {"songs": of_rows} if protocol.within_song else {}
    how = {"partial_mean": protocol.partial_mean, "kept": len(database), "progress": False, **within}
    for result in search_sequences(Exhaustive(len(database)), database, query, starts, [1, 3, 5], **how):
        of_right = np.where(result.place == len(database.dummy) + starts[:, None], result.score, -np.inf).max(axis=1)
        right = own[result.length][0]
        np.testing.assert_allclose(np.where(np.isnan(right), -np.inf, right), of_right, atol=1e-6)


PLAN = Plan([600, 1e4, 1e6], tail=10, share=0.5, parts=3, fractions=[0.1, 0.3, 1.0], generated=1e4)


def test_the_table(songs):
    database, of_rows, query = songs
    table = extrapolate(database, of_rows, query, ASKED, [3, 1], PROTOCOLS["clip"], PLAN)
    assert table.columns.tolist() == COLUMNS and len(table) == 2 * (2 * 4 + 3 + 3 * 3)
    assert set(table["method"]) == {EXTREMES, TREND, GENERATED} and set(table["queries"]) == {len(STARTS)}
    predicted = table[(table["kind"] == PREDICTED) & (table["length"] == 1)]
    assert predicted["segments"].drop_duplicates().tolist() == pytest.approx([552, 600, 1e4, 1e6])
    assert predicted["songs"].drop_duplicates().tolist() == pytest.approx([46, 50, 1e4 / 12, 1e6 / 12])
    scores = naive(database, query, 1)
    truth = len(database.dummy) + STARTS
    right = scores[np.arange(len(STARTS)), truth]
    scores[np.arange(len(STARTS)), truth] = -1
    assert predicted["measured_pct"].iloc[0] == pytest.approx(100 * (right > scores.max(axis=1)).mean())
    ours = predicted[predicted["method"] == EXTREMES]
    assert ours["hit_rate_pct"].iloc[0] == pytest.approx(ours["measured_pct"].iloc[0])  # counted
    assert ours["hit_rate_pct"].is_monotonic_decreasing and (ours["low_pct"] <= ours["hit_rate_pct"]).all()
    assert ours["shape"].nunique() == 1 and ours["shape"].iloc[0] < 0  # inner products are bounded
    held = table[table["kind"] == CHECKED]
    assert held["part"].nunique() == 3 and held["fitted_songs"].between(22, 23).all()
    np.testing.assert_allclose(held["difference"], held["hit_rate_pct"] - held["measured_pct"])
    assert ((held["difference_low"] <= held["difference_high"]) & (held["difference"].abs() < 40)).all()


def test_generated_songs_in_the_table(songs):
    """They are counted beside the songs that are there, to the size that was generated; the songs here are Gaussian, too."""
    database, of_rows, query = songs
    table = extrapolate(database, of_rows, query, ASKED, [1], PROTOCOLS["clip"], PLAN)
    ours = table[(table["kind"] == PREDICTED) & (table["method"] == GENERATED)]
    assert ours["segments"].tolist() == pytest.approx([552, 600, 1e4])
    assert ours["hit_rate_pct"].iloc[0] == pytest.approx(ours["measured_pct"].iloc[0])
    assert ours["hit_rate_pct"].is_monotonic_decreasing
    held = table[(table["kind"] == CHECKED) & (table["method"] == GENERATED)]
    assert (held["difference"].abs() < 15).all() and (held["best_higher"].abs() < 0.1).all()
    assert ((held["best_higher_low"] < held["best_higher"]) & (held["best_higher"] < held["best_higher_high"])).all()
    without = extrapolate(database, of_rows, query, ASKED, [1], PROTOCOLS["clip"], replace(PLAN, generated=0))
    assert GENERATED not in set(without["method"])


def test_generated_songs_are_like_those_of_the_model():
    """Songs made by the model itself are fitted and made again: the same mean, spread, memory and kinds of songs."""
    rng = np.random.default_rng(0)
    first = np.zeros(16)
    first[0] = 1
    centres = first + 0.3 * rng.standard_normal((300, 16)) * np.linspace(1, 0.2, 16)
    moves = 0.2 * rng.standard_normal((300, 40, 16)) * np.linspace(0.2, 1, 16)
    for i in range(1, 40):
        moves[:, i] = 0.8 * moves[:, i - 1] + 0.6 * moves[:, i]
    rows, of_rows = unit((centres[:, None] + moves).reshape(-1, 16)), np.repeat(np.arange(300), 40)
    made = list(fit_songs(rows, of_rows).stream(300, 40, 5))
    again, numbers = (np.concatenate(part) for part in zip(*made, strict=True))
    assert again.dtype == np.float32 and again.shape == rows.shape
    np.testing.assert_array_equal(numbers, of_rows)
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(again.mean(axis=0), rows.mean(axis=0), atol=0.05)
    for lag in (1, 5):
        alike = [(one[lag:] * one[:-lag]).sum(axis=1)[of_rows[lag:] == of_rows[:-lag]].mean() for one in (rows, again)]
        assert alike[1] == pytest.approx(alike[0], abs=0.03)
    far = [np.sort((one[::40] @ one[20::40].T)[np.triu_indices(300, 1)])[[-2000, -200]] for one in (rows, again)]
    np.testing.assert_allclose(far[1], far[0], atol=0.03)
    (same, _), *_ = fit_songs(rows, of_rows).stream(300, 40, 5)
    np.testing.assert_array_equal(same, again[: len(same)])


def test_a_rate_among_generated_songs_is_that_of_any_of_them():
    """50 songs, 100 more of which 10 are better than one right place: 30 of them have none of the ten by chance."""
    some, _ = made_up(0.0, 2, 0, songs=50)
    sure = Peaks(np.full(2, 9.0), np.ones(2, bool), np.zeros(2, int), some.songs, some.top, some.song)
    drawn = Kept(np.ones(100, bool), sure.right, 1)
    drawn.beaten[:] = [10, 0]
    rates = by_generator(sure, drawn, np.array([0, 1]), np.array([50, 80, 150, 500]), 0).rates[0]
    np.testing.assert_allclose(rates[:3], [1, (comb(90, 30) / comb(100, 30) + 1) / 2, 0.5])
    assert np.isnan(rates[3])  # not so many were generated


def test_equal_songs_are_no_hit(songs):
    """A copy of every test song among the distractors: no right place is better than its copy."""
    database, of_rows, query = songs
    copied = Database(np.concatenate([database.dummy, database.db]), database.db)
    more = np.concatenate([of_rows, of_rows[-len(database.db) :] + TEST])
    table = extrapolate(copied, more, query, ASKED, [1, 3], PROTOCOLS["clip"], PLAN)
    assert (table["measured_pct"].dropna() == 0).all()
    known = table[(table["kind"] == PREDICTED) & (table["method"] == EXTREMES)]
    assert (known["hit_rate_pct"] == 0).all()  # a part may lack the copies: it cannot foresee them


def test_the_same_seed_the_same_table(songs):
    database, of_rows, query = songs
    one, same = (extrapolate(database, of_rows, query, ASKED, [1], PROTOCOLS["clip"], PLAN) for _ in range(2))
    pd.testing.assert_frame_equal(one, same)


def test_too_few_songs(songs):
    database, of_rows, query = songs
    small = Database(database.dummy[: 2 * SEGMENTS], database.db)
    few = extrapolate(small, of_rows[: 8 * SEGMENTS], query, ASKED, [1], PROTOCOLS["clip"], PLAN)
    assert few.empty and few.columns.tolist() == COLUMNS
    assert random_parts(2 * FEWEST_SONGS, PLAN) == [] and len(random_parts(2 * FEWEST_SONGS + 4, PLAN)) == 3
    long = extrapolate(database, of_rows, query, asked_at(STARTS[:5]), [1, 13], PROTOCOLS["clip"], PLAN)
    assert set(long["length"]) == {1}  # no song holds 13 segments
