"""Fingerprints of a library: the nearest ones by exhaustive search, those left when some are passed over, silent ones."""

from dataclasses import dataclass

import numpy as np

from nafp.search.sequences import exact_neighbours
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import NO_ROW, Database

MAX_ROWS = 2**22  # neighbours asked for at a time
MORE = 4  # times as many neighbours are asked for, where too many of them are passed over


@dataclass(frozen=True)
class Sounding(Database):
    """A database in which some rows are silent, and like nothing. ``silent``: (rows,) bool."""

    silent: np.ndarray

    def inner_products(self, query: np.ndarray, segment: np.ndarray, row: np.ndarray) -> np.ndarray:
        """As of any database, but 0 for the silent rows."""
        found = super().inner_products(query, segment, row)
        found[self.silent[np.clip(row, 0, len(self) - 1)]] = 0  # rows that do not exist have 0 anyway
        return found


class Exact:
    """Exhaustive search of a database, without an index of its own."""

    def __init__(self, database: Database):
        self.database = database

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) rows, the nearest first."""
        return exact_neighbours(self.database, query, k)


class Without:
    """A search that passes over some rows, however many of the nearest they are. ``hidden``: (rows,) bool."""

    def __init__(self, index: SearchableIndex | Exact, hidden: np.ndarray):
        self.index, self.hidden = index, hidden

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) rows, the nearest first; -1 where there are fewer."""
        found, lacking, asked = np.full((len(query), k), NO_ROW), np.arange(len(query)), k
        while len(lacking):
            size, left = max(MAX_ROWS // asked, 1), []
            for some in np.split(lacking, range(size, len(lacking), size)):
                rows = self.index.nearest(query[some], asked)
                seen = (rows >= 0) & ~self.hidden[rows]
                first = np.argsort(~seen, axis=1, kind="stable")[:, :k]
                found[some] = np.where(seen, rows, NO_ROW)[np.arange(len(some))[:, None], first]
                left.append(some[(seen.sum(axis=1) < k) & (rows[:, -1] >= 0)])
            if asked == len(self.hidden):
                break
            lacking, asked = np.concatenate(left), min(MORE * asked, len(self.hidden))
        return found
