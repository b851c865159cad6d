"""Intervals and tests by song: values that are known, and what simulation says of them."""

import json
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest, norm
from scipy.stats import t as student

from nafp.evaluation.power import power, songs_needed
from nafp.evaluation.statistics import (
    clustered_interval,
    difference_interval,
    fewest_differing,
    holm,
    paired_test,
    sign_flip_p,
    song_differences,
    wilson_interval,
)

# ---------------------------------------------------------------- intervals


@pytest.mark.parametrize("hits, n, low, high", [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)])
def test_wilson_interval_against_published_values(hits, n, low, high):
    """Values of Wilson's formula with z = 1.96."""
    found = wilson_interval(hits / n, n)
    assert found[0] == pytest.approx(low, abs=1e-4)
    assert found[1] == pytest.approx(high, abs=1e-4)
    assert np.isnan(wilson_interval(0, 0)[0])


@pytest.mark.parametrize("hits", [0, 1, 37, 200, 250])
def test_one_query_a_song_is_the_independent_case(hits):
    one_each = np.zeros((1, 250))
    one_each[0, :hits] = 1
    np.testing.assert_allclose(clustered_interval(one_each, np.ones(250)), wilson_interval(hits / 250, 250), atol=1e-12)


@pytest.mark.parametrize("hits, rate", [(0, 0.0), (41, 1.0)])
def test_songs_that_all_hit_or_all_miss_count_once_each(hits, rate):
    """40 songs of 41 queries: how alike the queries of a song are cannot be seen, so the interval is that of 40 queries."""
    found = clustered_interval(np.full((1, 40), hits), np.full(40, 41))
    np.testing.assert_allclose(found, wilson_interval(rate, 40), atol=1e-12)
    assert found[1] - found[0] == pytest.approx(0.0876, abs=1e-4)


def test_the_interval_narrows_as_songs_show_that_their_queries_differ():
    """All 1,640 queries hit but one in each of 0, 1, 2, ... songs: the upper end falls and the interval never jumps open."""
    hits = np.full((9, 1, 40), 41)
    for misses in range(9):
        hits[misses, 0, :misses] = 40
    low, high = clustered_interval(hits, np.full(40, 41))
    assert (np.diff(high) <= 0).all()
    assert (np.diff(high - low) < 0.001).all()
    assert low[8] > 0.985  # each miss in a song of its own: as good as independent


def test_more_songs_narrow_it_and_more_queries_of_the_same_do_not():
    alike = np.repeat([1, 0], 20)[None]
    few, many = (clustered_interval(n * alike, np.full(40, n)) for n in (2, 200))
    np.testing.assert_allclose(few, many, atol=1e-12)
    low, high = clustered_interval(np.tile(2 * alike, 4), np.full(160, 2))
    assert high - low < 0.55 * (few[1] - few[0])


def test_one_song_says_nothing():
    low, high = clustered_interval(np.array([[30]]), np.array([41]))
    assert low < 0.15
    assert high > 0.95


def overlapping(rng, studies: int, songs: int, queries: int, rate: float, of_song: float, memory: float) -> np.ndarray:
    """(studies, songs) hits of overlapping windows: a song has a difficulty, and a window is much like the one before it."""
    window = np.empty((studies, songs, queries))
    noise = rng.normal(size=window.shape)
    window[..., 0] = noise[..., 0]
    for i in range(1, queries):
        window[..., i] = memory * window[..., i - 1] + np.sqrt(1 - memory**2) * noise[..., i]
    ease = np.sqrt(of_song) * rng.normal(size=(studies, songs, 1)) + np.sqrt(1 - of_song) * window
    return (ease < norm.ppf(rate)).sum(axis=2)


@pytest.mark.parametrize(
    "songs, queries, rate, of_song, memory",
    [
        (40, 41, 0.66, 0.1, 0.7),  # the demo's size
        (40, 41, 0.66, 0.4, 0.9),
        (40, 41, 0.95, 0.2, 0.8),
        (15, 41, 0.5, 0.3, 0.8),
        (200, 10, 0.3, 0.3, 0.5),
        (200, 10, 0.97, 0.3, 0.5),
        (500, 4, 0.85, 0.2, 0.0),  # the paper's: 2,000 places in 500 songs
    ],
)
def test_the_interval_covers_the_truth(songs, queries, rate, of_song, memory):
    """Correlated queries whose true rate is known: 95 % intervals hold it in 92 to 98 % of studies, those of queries do not."""
    hits = overlapping(np.random.default_rng(0), 1500, songs, queries, rate, of_song, memory)
    low, high = clustered_interval(hits[:, None], np.full(songs, queries))
    assert 0.92 <= np.mean((low <= rate) & (rate <= high)) <= 0.98
    low, high = wilson_interval(hits.sum(axis=1) / (songs * queries), songs * queries)
    assert np.mean((low <= rate) & (rate <= high)) < 0.92


def test_songs_of_different_length_are_covered_too():
    rng, rate = np.random.default_rng(1), 0.7
    queries = rng.integers(1, 60, 60)
    ease = rng.normal(size=(1500, 60, 1)) * 0.7 + rng.normal(size=(1500, 60, 60)) * np.sqrt(0.51)
    hits = ((ease < norm.ppf(rate)) & (np.arange(60) < queries[:, None])).sum(axis=2)
    low, high = clustered_interval(hits[:, None], queries)
    assert 0.92 <= np.mean((low <= rate) & (rate <= high)) <= 0.98


@pytest.mark.parametrize("seeds, spread", [(2, 0.0), (3, 0.1), (5, 0.2)])
def test_several_seeds_and_songs_are_covered_together(seeds, spread):
    """Seeds differ by chance, too: the interval is for songs that were not asked and seeds that were not trained."""
    rng, songs, queries, studies = np.random.default_rng(2), 40, 20, 1500
    shared = 0.6 * rng.normal(size=(studies, 1, songs, 1)) + 0.6 * rng.normal(size=(studies, 1, songs, queries))
    of_seed = spread * rng.normal(size=(studies, seeds, 1, 1)) + 0.2 * rng.normal(size=(studies, seeds, songs, 1))
    rest = np.sqrt(1 - 0.72 - 0.04 - spread**2)
    hits = (shared + of_seed + rest * rng.normal(size=(studies, seeds, songs, queries)) < norm.ppf(0.75)).sum(axis=3)
    low, high = clustered_interval(hits, np.full(songs, queries))
    assert 0.92 <= np.mean((low <= 0.75) & (high >= 0.75)) <= 0.98


def test_seeds_that_differ_widen_the_interval_and_seeds_that_do_not_leave_it():
    songs = np.tile([41, 30, 20, 10], 10)
    one = np.array(clustered_interval(songs[None], np.full(40, 41)))
    np.testing.assert_allclose(clustered_interval(np.stack([songs] * 3), np.full(40, 41)), one, atol=1e-12)
    low, high = clustered_interval(np.stack([songs, songs // 2, songs // 3]), np.full(40, 41))
    assert high - low > 1.5 * (one[1] - one[0])


# ---------------------------------------------------------------- tests


def test_sign_flips_are_all_enumerated():
    rng = np.random.default_rng(0)
    for songs in (0, 1, 2, 5, 11):
        differences = rng.integers(-4, 5, songs)
        sums = [abs(np.dot(signs, differences)) for signs in product([-1, 1], repeat=songs)]
        assert sign_flip_p(differences) == pytest.approx(np.mean(np.array(sums) >= abs(differences.sum())), abs=1e-12)


def test_many_songs_as_by_sampling():
    differences = np.random.default_rng(1).integers(-20, 24, 300)
    assert np.abs(differences).sum() ** 2 > 2**22  # so that steps of the convolution are by FFT
    signs = np.random.default_rng(2).choice([-1, 1], (20_000, 300))
    sampled = np.mean(np.abs(signs @ differences) >= abs(differences.sum()))
    assert sign_flip_p(differences) == pytest.approx(sampled, abs=4 * np.sqrt(0.25 / 20_000))


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """Two-sided p of McNemar's exact test of two systems' hits (n,) on the same queries, as if those were independent."""
    return sign_flip_p(np.asarray(a, int) - np.asarray(b, int))


def test_ten_queries_of_five_songs_are_five_observations():
    """The mark that this once was: ten discordant queries, all for one system, in five songs."""
    a, b = np.zeros((2, 40, 41), bool)
    a[:5, :2] = True
    assert mcnemar(a.ravel(), b.ravel()) == pytest.approx(2 / 2**10)
    p, direction = paired_test(a.sum(axis=1), b.sum(axis=1), np.full(40, 41))
    assert (p, direction) == (pytest.approx(2 / 2**5), 1)
    assert paired_test(b.sum(axis=1), a.sum(axis=1), np.full(40, 41)) == (p, -1)


@pytest.mark.parametrize("only_a, only_b", [(0, 0), (1, 5), (10, 0), (7, 7), (40, 81)])
def test_one_query_a_song_is_mcnemars_test(only_a, only_b):
    a, b = np.repeat([1, 0, 1], [only_a, only_b, 9]), np.repeat([0, 1, 1], [only_a, only_b, 9])
    expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1
    assert mcnemar(a, b) == pytest.approx(expected)


def test_p_is_small_where_it_should_be():
    assert sign_flip_p(np.full(200, 3)) == pytest.approx(2.0**-199)


def test_systems_that_are_alike_are_rarely_told_apart():
    """Correlated queries: the test by song is wrong in 5 %, McNemar's of queries far more often."""
    rng, wrong, by_query = np.random.default_rng(3), 0, 0
    for _ in range(600):
        shared = rng.normal(size=(40, 1)) + rng.normal(size=(40, 20))
        a, b = (shared + 0.5 * rng.normal(size=(40, 1)) + 0.5 * rng.normal(size=(40, 20)) > 0 for _ in range(2))
        wrong += paired_test(a.sum(axis=1), b.sum(axis=1), np.full(40, 20))[0] < 0.05
        by_query += mcnemar(a.ravel(), b.ravel()) < 0.05
    assert 0.02 <= wrong / 600 <= 0.08
    assert by_query / 600 > 0.12


def test_seeds_that_contradict_each_other_show_nothing():
    """26 -> 72 % with one seed, 70 -> 31 % with the other: each is sure of itself, together they say nothing."""
    a, b = (np.repeat([[one], [other]], 40, axis=1) for one, other in ((30, 13), (11, 29)))
    assert max(sign_flip_p(difference) for difference in a - b) < 1e-10
    p, direction = paired_test(a, b, np.full(40, 41))
    assert p > 0.5
    assert direction == 0


def test_every_seed_must_be_on_its_side():
    base = np.tile([10, 12, 14, 16], 10)
    above = np.stack([base + 4, base + 3])
    assert paired_test(above, base, np.full(40, 41))[1] == 1
    assert paired_test(np.stack([base + 4, base - 1]), base, np.full(40, 41))[1] == 0
    assert (
        paired_test(above, np.stack([base, base + 9, base]), np.full(40, 41))[1] == 0
    )  # one of theirs is the best of all


def test_seeds_count_as_well_as_songs():
    """All songs say that the mean is better, but the seeds scatter so much that a third may well be worse."""
    rng, base = np.random.default_rng(4), np.tile([10, 12, 14, 16], 10)
    scattered = np.stack([base + rng.integers(10, 14, 40), base + rng.integers(1, 3, 40)])
    assert sign_flip_p((scattered - base).sum(axis=0)) < 1e-10
    p, direction = paired_test(scattered, base, np.full(40, 41))
    assert p > 0.05
    assert direction == 1
    alike = np.stack([base + rng.integers(4, 8, 40) for _ in range(2)])
    assert paired_test(alike, base, np.full(40, 41))[0] < 1e-3


def test_p_of_seeds_and_songs_by_the_textbook():
    """Two systems of 3 and 2 seeds: the t test written out, where it is larger than that of the sign flips."""
    rng = np.random.default_rng(6)
    a, b, queries = rng.integers(0, 9, (3, 12)) + [[4], [9], [0]], rng.integers(0, 9, (2, 12)), np.full(12, 20)
    rates = [one.mean(axis=1) / 20 for one in (a, b)]
    of_songs = (a.mean(axis=0) - b.mean(axis=0)) / 20
    parts = [of_songs.var(ddof=1) / 12, rates[0].var(ddof=1) / 3, rates[1].var(ddof=1) / 2]
    freedom = sum(parts) ** 2 / sum(part**2 / free for part, free in zip(parts, (11, 2, 1), strict=True))
    expected = 2 * student.sf(abs(of_songs.mean()) / np.sqrt(sum(parts)), freedom)
    assert paired_test(a, b, queries)[0] == pytest.approx(expected)
    assert expected > sign_flip_p(2 * a.sum(axis=0) - 3 * b.sum(axis=0))


@pytest.mark.parametrize(("of_a", "of_b"), [(2, 2), (3, 3), (1, 3), (3, 1)])
def test_seeds_that_vary_are_rarely_taken_for_a_difference(of_a, of_b):
    """Two configurations whose seeds scatter alike, by 2.3 points. Flipping songs alone is wrong in a fifth of studies."""
    rng, studies = np.random.default_rng(5), 400
    wrong = by_song = held = 0
    for _ in range(studies):
        shared = 0.7 * rng.normal(size=(40, 1)) + 0.8 * rng.normal(size=(40, 20))

        def system(seeds, shared=shared):
            of_seed = 0.07 * rng.normal(size=(seeds, 1, 1)) + 0.2 * rng.normal(size=(seeds, 40, 1))
            return (shared + of_seed + 0.6 * rng.normal(size=(seeds, 40, 20)) > 0).sum(axis=2)

        a, b = system(of_a), system(of_b)
        p, direction = paired_test(a, b, np.full(40, 20))
        wrong += p < 0.05 and direction != 0
        _, low, high = difference_interval(a, b, np.full(40, 20))
        held += low <= 0 <= high
        by_song += sign_flip_p(of_b * a.sum(axis=0) - of_a * b.sum(axis=0)) < 0.05
    assert wrong / studies <= 0.08
    assert held / studies >= 0.9
    assert by_song / studies > 0.15


@pytest.mark.parametrize("tests", [1, 2, 3, 24, 400])
def test_with_fewer_songs_that_differ_no_test_is_significant(tests):
    """Whether one side has several seeds or not: with so many songs it can be, with one less it cannot."""
    fewest = fewest_differing(tests)
    for songs, sure in ((fewest, True), (fewest - 1, False)):
        assert (tests * sign_flip_p(np.full(songs, 3)) < 0.05) == sure
        assert (
            sure or tests * paired_test(np.full((3, songs), 3), np.zeros((2, songs), int), np.full(songs, 4))[0] >= 0.05
        )
    assert song_differences(np.array([[1, 2, 3], [3, 2, 1]]), np.array([[2, 2, 3]])).tolist() == [0, 0, -2]


def test_one_song_tells_no_interval_of_a_difference():
    """However many seeds there are, other songs may say the opposite; p agrees."""
    for a, b in (([[30], [32]], [[10]]), ([[30]], [[10]]), ([[30], [30]], [[10], [12]])):
        difference, low, high = difference_interval(np.array(a), np.array(b), np.array([41]))
        assert difference == pytest.approx((np.mean(a) - np.mean(b)) / 41)
        assert np.isnan([low, high]).all()
        assert paired_test(np.array(a), np.array(b), np.array([41])) == (1.0, 1)
    difference, low, high = difference_interval(np.array([[30, 32]]), np.array([[10, 11]]), np.array([41, 41]))
    half = student.ppf(0.975, 1) * np.std([20 / 41, 21 / 41], ddof=1) / np.sqrt(2)
    assert (difference, low, high) == pytest.approx((20.5 / 41, 20.5 / 41 - half, 20.5 / 41 + half))


def test_holm_as_in_the_textbook():
    corrected = holm(pd.Series([0.01, np.nan, 0.04, 0.03, 0.005]))  # sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1
    np.testing.assert_allclose(corrected, [0.03, np.nan, 0.06, 0.06, 0.02])


# ---------------------------------------------------------------- power


def test_power_where_it_can_be_calculated():
    """Each of n songs of one query differs with probability 0.1, always in one direction: 6 of them are significant."""
    found = power(np.zeros(30, int), np.ones(30), 0.1, 80)
    assert found == pytest.approx(binom.sf(5, 80, 0.1), abs=0.06)
    assert power(np.zeros(30, int), np.ones(30), 0.1, 80, level=1e-3) == pytest.approx(binom.sf(10, 80, 0.1), abs=0.06)


def test_power_of_a_normal_difference(monkeypatch):
    """Differences of 41 queries that are normal with a standard deviation of 10: 1.96 and 0.84 of it are 2 points' n."""
    pilot = (
        np.round(10 * norm.ppf((np.arange(400) + 0.5) / 400)).astype(int) + 5
    )  # a mean that is not what is asked for
    queries = np.full(400, 41)
    needed = songs_needed(pilot, queries, 0.02)
    assert needed == pytest.approx(((1.96 + 0.84) * 10 / (0.02 * 41)) ** 2, rel=0.1)
    assert songs_needed(pilot, queries, 0.02) == needed
    assert power(pilot, queries, 0.0, 100) < 0.06
    nearly_most = ((1.96 + 0.84) * 10 / (0.0072 * 41)) ** 2  # 8,997: more than the largest power of two below MOST
    assert songs_needed(pilot, queries, 0.0072) == pytest.approx(nearly_most, rel=0.1)
    assert 8192 < songs_needed(pilot, queries, 0.0072) <= 10_000
    assert songs_needed(pilot, queries, 0.006) is None
    monkeypatch.setattr("nafp.evaluation.power.MOST", 500)
    assert songs_needed(pilot, queries, 0.001) is None


def test_of_many_differing_songs_the_normal_distribution_is_right(monkeypatch):
    pilot = np.random.default_rng(0).integers(-8, 9, 40)
    normal = power(pilot, np.full(40, 41), 0.015, 300)
    monkeypatch.setattr("nafp.evaluation.power.EXACT_UP_TO", 10**6)
    assert power(pilot, np.full(40, 41), 0.015, 300) == pytest.approx(normal, abs=0.021)


def test_the_command_line_of_power(tmp_path, capsys, monkeypatch):
    from boards import write_cell

    from nafp.commands import power as command

    a, b = (write_cell(tmp_path, {"aug": aug}, queries=400, skill=s) for aug, s in (("full", 0.3), ("none", 0.0)))
    monkeypatch.setattr(sys, "argv", ["power.py", str(a), str(b), "--points", "2", "9"])
    command.main(command.arguments())
    printed = capsys.readouterr().out
    assert "40 songs, 10 queries each" in printed
    rows = [line.split() for line in printed.splitlines()[3:9]]
    assert [row[0] for row in rows] == ["1", "2", "3", "5", "6", "10"]
    assert all(10 < int(row[4]) < 3000 and int(row[5]) < int(row[4]) for row in rows[:2])
    assert rows[-1][4:] == ["–", "–"]
    assert "–: fewer than 6 songs of the pilot differ" in printed
    monkeypatch.setattr(sys, "argv", ["power.py", str(a), str(tmp_path / "none.json")])
    with pytest.raises(command.UserError, match=r"none.json: no such cell"):
        command.main(command.arguments())
    assert Path(command.__file__).parent.name == "commands"
    stated = json.loads(b.read_text())
    b.write_text(json.dumps(stated | {"hits": {"top1_song": stated["hits"]["top1_song"]}}))
    monkeypatch.setattr(sys, "argv", ["power.py", str(a), str(b)])
    with pytest.raises(command.UserError, match=r"l2.json: exact hits are not known, because .*; take --match song$"):
        command.main(command.arguments())
    monkeypatch.setattr(sys, "argv", ["power.py", str(a), str(b), "--match", "song"])
    command.main(command.arguments())
    assert "song hits." in capsys.readouterr().out
