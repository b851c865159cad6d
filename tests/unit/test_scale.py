"""The scale study: the fit against a known line, its uncertainty, and the measurement itself."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import beta

from nafp.errors import UserError
from nafp.evaluation.asked import Asked
from nafp.evaluation.scale import fit_trend, measure, predictions, sizes_of
from nafp.search.vectors import Database


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


SIZES = np.array([1e3, 1e4, 1e5, 1e6])


def answers(intercept: float, slope: float, queries: int, seed: int = 0) -> np.ndarray:
    """(queries, sizes) hits of queries of different difficulty, with the given odds on average over all."""
    p = expit(intercept + slope * np.log10(SIZES))
    return np.random.default_rng(seed).random((queries, 1)) < p


def test_the_fit_finds_the_line_that_made_the_data():
    found, low, high = fit_trend(SIZES, answers(4, -0.7, 20000), np.ones(20000)).hit_rate(np.array([1e4, 1e7]))
    np.testing.assert_allclose(found, expit(4 - 0.7 * np.array([4, 7])), atol=0.015)
    assert (low < found).all()
    assert (found < high).all()


@pytest.mark.parametrize("queries, expected", [(100, 0.196), (2500, 0.0392)])
def test_bounds_are_those_of_a_proportion(queries, expected):
    """Where hits do not depend on the size, the interval is that of one proportion: 2 x 1.96 sqrt(p (1 - p) / n)."""
    _, low, high = fit_trend(SIZES, answers(0, 0, queries), np.ones(queries)).hit_rate(np.array([1e5]))
    assert (high - low)[0] == pytest.approx(expected, rel=0.2)


def test_queries_of_a_song_are_one_observation():
    """100 songs whose 25 queries all have one fate: the bounds of 100 queries, not those of 2,500."""
    of_songs, of_queries = (
        fit_trend(SIZES, n * answers(0, 0, 100), np.full(100, n)).hit_rate(np.array([1e5])) for n in (25, 1)
    )
    np.testing.assert_allclose(of_songs[1:], of_queries[1:], atol=1e-9)
    assert (of_songs[2] - of_songs[1])[0] == pytest.approx(0.196, rel=0.2)
    assert of_songs[0] == pytest.approx(answers(0, 0, 100).mean(), abs=0.01)


def test_the_bounds_are_those_of_the_seed():
    one, same, other = (fit_trend(SIZES, answers(0, 0, 50), np.ones(50), seed).hit_rate(SIZES) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[1], same[1])
    assert (one[1] != other[1]).any()


def test_every_query_may_hit():
    """Then the bounds are those of Jeffreys' interval of as many songs, not equal."""
    for queries in (1, 41):
        trend = fit_trend(SIZES, np.full((50, 4), queries), np.full(50, queries))
        found, low, high = trend.hit_rate(np.array([1e5]))
        assert 1 - 1 / (50 * queries) < found[0] <= 1
        np.testing.assert_allclose([low[0], high[0]], beta.ppf([0.025, 0.975], 50.5, 0.5), atol=0.02)


def test_measure_and_predictions():
    g = np.random.default_rng(0)
    database = Database(unit(g.standard_normal((3000, 8))), unit(g.standard_normal((100, 8))))
    query = unit(database.db + 0.35 * g.standard_normal((100, 8)))
    starts, fractions, songs = np.arange(95), [0.01, 0.1, 1.0], np.repeat(np.arange(10), 10)
    found = measure("l2", {}, database, query, songs, Asked(starts, starts, None), [1, 3], fractions)
    assert len(found) == 3 * 2 * 95
    assert sorted(found["segments"].unique()) == [130, 400, 3100]
    table = predictions(found)
    short = table[table["length"] == 1]
    assert short["segments"].tolist() == [130, 400, 3100, 31000]
    assert short["measured"].iloc[0] > short["measured"].iloc[2]
    assert short["measured"].isna().tolist() == [False, False, False, True]
    assert short["fitted"].is_monotonic_decreasing
    assert (short["low"] <= short["fitted"]).all()
    assert short["queries"].eq(95).all() and short["songs"].eq(10).all()
    counted = found[(found["length"] == 1) & (found["segments"] == 400)]["hit"].mean()
    assert short["measured"].iloc[1] == pytest.approx(100 * counted)


def test_a_sequence_that_is_asked_for_twice_counts_twice():
    """A file of test ids may name one place several times."""
    database = Database(unit(np.random.default_rng(0).standard_normal((300, 8))), unit(np.eye(40, 8) + 0.1))
    query = unit(database.db + 0.3 * np.random.default_rng(1).standard_normal((40, 8)))
    starts, songs = np.array([3, 3, 5, 30, 30, 30]), np.repeat([0, 1], 20)
    table = predictions(measure("l2", {}, database, query, songs, Asked(starts, starts, None), [1], [0.1, 1.0]))
    once = measure("l2", {}, database, query, songs, Asked(*2 * [np.array([3, 5, 30])], None), [1], [0.1, 1.0])
    hit = once.pivot(index="query", columns="segments", values="hit")
    assert table["queries"].eq(6).all() and table["songs"].eq(2).all()
    np.testing.assert_allclose(table["measured"].iloc[:2], 100 * np.average(hit, axis=0, weights=[2, 1, 3]))


def test_fractions_of_one_size_are_measured_once():
    assert sizes_of([0.001, 0.002, 0.1, 0.1004, 1.0], 1000) == {1: 0.001, 2: 0.002, 100: 0.1, 1000: 1.0}
    assert sizes_of([0.01, 0.03, 0.1, 1.0], 12) == {1: 0.01, 12: 1.0}
    with pytest.raises(UserError, match=r"scale.fractions: 0.1, 0.2 of 4 dummy fingerprints are one size, but .* two"):
        sizes_of([0.1, 0.2], 4)


def test_a_trend_of_fractions_that_fall_together():
    database = Database(unit(np.random.default_rng(0).standard_normal((12, 8))), unit(np.eye(10, 8) + 0.1))
    songs = np.zeros(10, int)
    found = measure(
        "l2", {}, database, database.db, songs, Asked(*2 * [np.arange(10)], None), [1], [0.01, 0.03, 0.1, 1.0]
    )
    assert predictions(found)["segments"].tolist() == [11, 22, 220]
