"""Search on lines of other slopes: against sums by hand, and what it must not change."""

from itertools import product

import numpy as np
import pytest
from indexes import unit, vectors

from nafp.search.result import KEPT
from nafp.search.sequences import exact_neighbours, search_sequences
from nafp.search.vectors import Database


class Exact:
    """Exhaustive search, as an index."""

    memory_bytes, gpu = 0, None

    def __init__(self, database: Database):
        self.database = database

    def __len__(self):
        return len(self.database)

    def nearest(self, query, k):
        return exact_neighbours(self.database, query, k)


DUMMY, DB = vectors(0, 60), vectors(1, 90)
DATABASE = Database(DUMMY, DB)
ROWS = np.concatenate([DUMMY, DB])


def rows_at(rate: float, start: int, length: int) -> list[int]:
    """The rows that a sequence at a rate is on."""
    return [start + int(rate * i + 0.5) for i in range(length)]


def query_of(rate: float, start: int, length: int, noise: float, seed: int = 0) -> np.ndarray:
    found = ROWS[rows_at(rate, start, length)]
    return unit(found + noise * np.random.default_rng(seed).standard_normal(found.shape))


def search(query, starts, lengths, **how):
    return search_sequences(Exact(DATABASE), DATABASE, query, np.asarray(starts), lengths, progress=False, **how)


@pytest.mark.parametrize("partial_mean", [False, True])
@pytest.mark.parametrize("rates", [(0.9,), (1.0, 1.25), (0.8, 1.0, 1.1)])
def test_the_score_of_a_place_is_the_best_of_its_rates(rates, partial_mean):
    """Counted for every candidate by itself; the last sequences run over the ends of the query and of the database."""
    query = query_of(1.1, 75, 60, noise=0.4)
    lengths, starts = [1, 4, 9], [0, 1, 17, 44, 55]
    neighbours = exact_neighbours(DATABASE, query, 20)
    for result in search(query, starts, lengths, rates=rates, partial_mean=partial_mean):
        for place, score, start in zip(result.place, result.score, starts, strict=True):
            scores = {}
            for rate, i in product(rates, range(min(result.length, len(query) - start))):
                for begin in neighbours[start + i] - int(rate * i + 0.5):
                    rows = rows_at(rate, begin, result.length)
                    pairs = [
                        (start + j, row) for j, row in enumerate(rows) if start + j < len(query) and row < len(ROWS)
                    ]
                    total = sum(float(query[j] @ ROWS[row]) for j, row in pairs)
                    if begin >= 0:
                        mean = total / (len(pairs) if partial_mean else result.length)
                        scores[begin] = max(mean, scores.get(begin, -np.inf))
            best = sorted(scores.values(), reverse=True)[:KEPT]
            np.testing.assert_allclose(score[: len(best)], best, atol=1e-5)
            assert len(set(place.tolist())) == KEPT
            np.testing.assert_allclose([scores[one] for one in place], score, atol=1e-5)


@pytest.mark.parametrize("rate", [0.8, 0.95, 1.05, 1.25])
def test_a_query_at_another_speed_is_found_on_its_line(rate):
    length = 19
    starts = [0, 19, 38]
    query = np.concatenate([query_of(rate, begin, length, noise=0.35, seed=begin) for begin in (5, 70, 110)])
    (plain,), (following,) = (
        search(query, starts, [length], rates=rates) for rates in ([1], [0.8, 0.95, 1, 1.05, 1.25])
    )
    assert following.place[:, 0].tolist() == [5, 70, 110]
    assert (following.score[:, 0] > plain.score[:, 0] + 0.1).all()


def test_one_alone_is_the_search_without_rates():
    query = query_of(1, 20, 100, noise=0.5)
    own = np.full(40, 60), np.full(40, 90)
    for how in ({}, {"partial_mean": True}, {"songs": np.repeat(np.arange(15), 10)}, {"own": own}):
        pairs = zip(
            *(search(query, np.arange(40), [1, 3, 11], **how, **more) for more in ({}, {"rates": [1.0]})), strict=True
        )
        for a, b in pairs:
            for name in ("place", "score", "other_place", "other_score"):
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_rates_among_which_all_are_alike_change_nothing():
    """Of one segment, and of three up to 1.2, the lines are the same."""
    query = query_of(1, 20, 100, noise=0.5)
    both = (search(query, np.arange(40), [1, 3], **more) for more in ({}, {"rates": [0.85, 1, 1.2]}))
    for a, b in zip(*both, strict=True):
        np.testing.assert_array_equal(a.place, b.place)
        np.testing.assert_allclose(a.score, b.score, atol=1e-6)


def test_an_answer_on_a_line_lies_inside_one_song_and_outside_of_the_querys_own():
    """A line of slope 1.5 over 8 segments is on 12 rows."""
    songs, query = np.repeat(np.arange(15), 10), query_of(1.5, 60, 40, noise=0.6)
    (inside,) = search(query, [0], [8], rates=[1.5], songs=songs)
    assert (inside.place == -1).all()  # songs have 10 rows
    for first, last in ((60, 69), (0, 59), (71, 140)):
        (result,) = search(query, [0], [8], rates=[1.5], own=(np.array([first]), np.array([last])))
        assert result.place[0, 0] == 60
        wanted = [place for place in result.place[0] if place + 12 <= first or place > last]
        assert result.other_place[0] == wanted[0]
    assert wanted[0] != 60  # its last rows are in the third song
