"""What is found for sequences of one length: places in the database and their scores. NumPy only: some methods have no Faiss."""

from dataclasses import dataclass
from math import nan

import numpy as np

KEPT = 11  # best places kept of each sequence: one more than are judged, so that a tie with the last of those is seen


@dataclass(frozen=True)
class Result:
    """Best places of q sequences of one length (in segments), best first, and their scores.

    ``place``: (q, kept) rows of the database, -1 where there are fewer candidates; ``score``: (q, kept) theirs, mean inner
    products or those of a method, -inf where there are fewer. ``other_place``, ``other_score``: (q,) the best place that overlaps
    no segment of the query's own song, if the search knows that song; of a method's answers, the best one of another song.
    ``ms``: milliseconds a query, its share of the neighbour search included; ``ms_per_segment``: milliseconds of the neighbour
    search for a segment, NaN without one.
    """

    length: int
    place: np.ndarray
    score: np.ndarray
    other_place: np.ndarray
    other_score: np.ndarray
    ms: float
    ms_per_segment: float = nan
