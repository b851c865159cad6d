"""The scale study: the fit against a known line, its uncertainty, and the measurement itself."""

import numpy as np
import pytest
from nafp.search.scale import fit_trend, measure, predictions
from scipy.special import expit
from scipy.stats import beta

from nafp.search.vectors import Database


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


SIZES = np.array([1e3, 1e4, 1e5, 1e6])


def answers(intercept: float, slope: float, queries: int, seed: int = 0) -> np.ndarray:
    """(queries, sizes) hits of queries of different difficulty, with the given odds on average over all."""
    p = expit(intercept + slope * np.log10(SIZES))
    return np.random.default_rng(seed).random((queries, 1)) < p


def test_the_fit_finds_the_line_that_made_the_data():
    found, low, high = fit_trend(SIZES, answers(4, -0.7, 20000)).hit_rate(np.array([1e4, 1e7]))
    np.testing.assert_allclose(found, expit(4 - 0.7 * np.array([4, 7])), atol=0.015)
    assert (low < found).all()
    assert (found < high).all()


@pytest.mark.parametrize("queries, expected", [(100, 0.196), (2500, 0.0392)])
def test_bounds_are_those_of_a_proportion(queries, expected):
    """Where hits do not depend on the size, the interval is that of one proportion: 2 x 1.96 sqrt(p (1 - p) / n)."""
    _, low, high = fit_trend(SIZES, answers(0, 0, queries)).hit_rate(np.array([1e5]))
    assert (high - low)[0] == pytest.approx(expected, rel=0.2)


def test_every_query_may_hit():
    """Then the bounds are those of Jeffreys' interval, not equal."""
    found, low, high = fit_trend(SIZES, np.ones((50, 4))).hit_rate(np.array([1e5]))
    assert 0.95 < found[0] <= 1
    np.testing.assert_allclose([low[0], high[0]], beta.ppf([0.025, 0.975], 50.5, 0.5), atol=0.02)


def test_measure_and_predictions():
    g = np.random.default_rng(0)
    database = Database(unit(g.standard_normal((3000, 8))), unit(g.standard_normal((100, 8))))
    query = unit(database.db + 0.35 * g.standard_normal((100, 8)))
    starts, fractions = np.arange(95), [0.01, 0.1, 1.0]
    found = measure("l2", {}, database, query, starts, [1, 3], fractions)
    assert len(found) == 3 * 2 * 95
    assert sorted(found["segments"].unique()) == [130, 400, 3100]
    table = predictions(found)
    short = table[table["length"] == 1]
    assert short["segments"].tolist() == [130, 400, 3100, 31000]
    assert short["measured"].iloc[0] > short["measured"].iloc[2]
    assert short["measured"].isna().tolist() == [False, False, False, True]
    assert short["fitted"].is_monotonic_decreasing
    assert (short["low"] <= short["fitted"]).all()
    counted = found[(found["length"] == 1) & (found["segments"] == 400)]["hit"].mean()
    assert short["measured"].iloc[1] == pytest.approx(100 * counted)
