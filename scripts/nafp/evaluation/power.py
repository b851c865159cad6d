"""How many songs a study needs: the power of the paired test by song, simulated from the hits of a pilot."""

from functools import partial

import numpy as np
from scipy.special import ndtr

from nafp.evaluation.statistics import LEVEL, sign_flip_p

SIMULATIONS = 400  # studies that a number of songs is judged by: the power is right within 4 points
FEWEST, MOST = 4, 10_000  # songs that are tried
PRECISION = 0.02  # relative precision of the number of songs
EXACT_UP_TO = 200  # songs that differ: of more, the distribution over all signs is normal


def power(
    differences: np.ndarray, queries: np.ndarray, effect: float, songs: int, level: float = LEVEL, seed: int = 0
) -> float:
    """Probability (0..1) that a study of so many songs finds a difference between two systems, and in the right direction.

    ``differences`` (songs,): hits of one system minus the other's in each song of the pilot, ``queries`` (songs,): of each song,
    ``effect``: the true difference of the rates (0..1). A simulated study draws songs of the pilot, whose differences are all
    shifted so that their mean is ``effect``; what is no whole number of hits is rounded up or down at random.
    """
    rng = np.random.default_rng(seed)
    shifted = differences + (effect - differences.sum() / queries.sum()) * queries
    drawn = shifted[rng.integers(0, len(shifted), (SIMULATIONS, songs))]
    drawn = np.floor(drawn + rng.random(drawn.shape)).astype(np.int64)
    total = drawn.sum(axis=1)
    with np.errstate(invalid="ignore"):
        p = 2 * ndtr(-np.abs(total) / np.sqrt(np.square(drawn).sum(axis=1)))
    few = np.flatnonzero(np.count_nonzero(drawn, axis=1) <= EXACT_UP_TO)
    p[few] = [sign_flip_p(drawn[i]) for i in few]
    return float(np.mean((p < level) & (total > 0)))


def songs_needed(
    differences: np.ndarray,
    queries: np.ndarray,
    effect: float,
    wanted: float = 0.8,
    level: float = LEVEL,
    seed: int = 0,
) -> int | None:
    """The number of songs with which the power is ``wanted``, within 2 %; None if that is more than MOST. See `power`."""
    reached = partial(power, differences, queries, effect, level=level, seed=seed)
    few, many = FEWEST, 2 * FEWEST
    while reached(songs=many) < wanted:
        if many == MOST:
            return None
        few, many = many, min(2 * many, MOST)
    while many - few > max(1, PRECISION * many):
        middle = (few + many) // 2
        few, many = (few, middle) if reached(songs=middle) >= wanted else (middle, many)
    return many
