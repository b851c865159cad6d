"""Fingerprints on disk, and a database of them: opened, checked, never copied as a whole."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from nafp.errors import UserError

CHECKED_ROWS = 2**16  # looked at together
NORM_TOLERANCE = 1e-3
PAIRS = 2**14  # inner products computed at a time
NOTHING = -1  # id of an absent row


def open_vectors(path: Path | str) -> np.ndarray:
    """Map a (n, d) float32 ``.npy`` file of unit vectors, after a look at every row.

    Raises UserError for a file that is no such array, and for rows that are not finite or not of length 1.
    """
    try:
        vectors = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not a NumPy array of fingerprints ({error}); make it again") from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise UserError(f"{path}: holds {vectors.dtype} of shape {vectors.shape}, not float32 fingerprints, one a row")
    for first in range(0, len(vectors), CHECKED_ROWS):
        norms = np.linalg.norm(vectors[first : first + CHECKED_ROWS], axis=1)
        bad = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))  # NaN is not near 1 either
        if len(bad):
            raise UserError(
                f"{path}: row {first + bad[0]} has length {norms[bad[0]]:.4g}, but fingerprints are unit vectors; "
                "divide each row by its norm, or make the file again"
            )
    return vectors


def one_thread_each() -> ThreadPoolExecutor:
    """As many threads as Faiss is to use, in each of which it uses one."""
    return ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=lambda: faiss.omp_set_num_threads(1))


@dataclass(frozen=True)
class Database:
    """Fingerprints that an index is built from: dummy (m, d) rows 0..m-1, then db (n, d)."""

    dummy: np.ndarray
    db: np.ndarray

    def __post_init__(self):
        if self.dummy.shape[1] != self.db.shape[1]:
            raise UserError(
                f"the dummy fingerprints have {self.dummy.shape[1]} dimensions, the database's {self.db.shape[1]}; "
                "both must come from one model"
            )
        if not len(self):
            raise UserError("the database is empty: there are neither dummy nor database fingerprints")

    def __len__(self) -> int:
        return len(self.dummy) + len(self.db)

    @property
    def dim(self) -> int:
        """Dimensions of a fingerprint."""
        return self.db.shape[1]

    def parts(self) -> list[tuple[int, np.ndarray]]:
        """(first row, fingerprints) of what is not empty."""
        return [(first, part) for first, part in ((0, self.dummy), (len(self.dummy), self.db)) if len(part)]

    def chunks(self, rows: int):
        """(first row, (<= rows, d) fingerprints) of the whole database, piece by piece."""
        for start, part in self.parts():
            for first in range(0, len(part), rows):
                yield start + first, np.ascontiguousarray(part[first : first + rows], np.float32)

    def inner_products(self, query: np.ndarray, segment: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Query rows ``segment`` (n,) with rows ``row`` (n,) of the database, pair by pair -> (n,) float32.

        0 where either lies outside.
        """
        query = np.ascontiguousarray(query, np.float32)
        if query.shape[1] != self.dim:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the database's fingerprints {self.dim}")
        found = np.zeros(len(row), np.float32)
        for at in range(0, len(row), PAIRS):
            some = slice(at, at + PAIRS)
            self._dots(query, segment[some], row[some], found[some])
        return found

    def _dots(self, query: np.ndarray, segment: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
        """Fill ``out`` where segment and row lie inside; without a copy where all of them are of one part."""
        low, high = row.min(), row.max()
        valid = segment.min() >= 0 and segment.max() < len(query)
        for first, part in self.parts():
            end = first + len(part)
            if valid and first <= low and high < end:
                self._pairs(query, segment, part, row - first, out)
            elif low < end and high >= first:
                inside = (row >= first) & (row < end) & (segment >= 0) & (segment < len(query))
                dots = np.empty(np.count_nonzero(inside), np.float32)
                self._pairs(query, segment[inside], part, row[inside] - first, dots)
                out[inside] = dots

    def _pairs(self, query: np.ndarray, i: np.ndarray, part: np.ndarray, j: np.ndarray, out: np.ndarray) -> None:
        pointers = (faiss.swig_ptr(x) for x in (query, i, part, j, out))
        faiss.pairwise_indexed_inner_product(self.dim, len(i), *pointers)
