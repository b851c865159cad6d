"""Files of fingerprints and databases made of them: mapped and checked, never copied as a whole."""

import json
import mmap
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from nafp.errors import UserError
from nafp.files import atomic_write, damaged_file_errors
from nafp.memory import total_memory

CHECKED_ROWS = 2**16  # rows checked at a time
NORM_TOLERANCE = 1e-3
PAIRS = 2**12  # inner products computed at a time; Linux maps 64 kB of a large file around each row
NO_ROW = -1  # number of a row that does not exist
LARGE_FILE = 2**28  # bytes; pages of a larger file are released after each use
CACHED = 0.5  # share of the job's memory that the system is counted on to keep files in


class Shards:
    """Fingerprints in consecutive arrays (m, d), read like one array (n, d).

    A slice is a view; rows chosen by their numbers, of any shape, are copied.
    """

    dtype = np.dtype(np.float32)
    ndim = 2

    def __init__(self, parts: Sequence[np.ndarray], dim: int):
        self.parts = list(parts)
        ends = np.cumsum([0, *(len(part) for part in self.parts)]).tolist()
        self.first, self.shape = ends[:-1], (ends[-1], dim)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> "Shards | np.ndarray":
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            bounds = [(max(start - first, 0), max(stop - first, 0)) for first in self.first]
            cut = [part[low:high] for part, (low, high) in zip(self.parts, bounds, strict=True)]
            return Shards([part for part in cut if len(part)], self.shape[1])
        out = np.empty((*rows.shape, self.shape[1]), np.float32)
        for first, part in zip(self.first, self.parts, strict=True):
            here = (rows >= first) & (rows < first + len(part))
            out[here] = part[rows[here] - first]
        return out

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if len(self.parts) == 1:
            return np.array(self.parts[0], dtype, copy=copy)
        return np.concatenate([np.empty((0, self.shape[1]), np.float32), *self.parts]).astype(dtype or np.float32)


def write_manifest(path: Path, shards: Sequence[Path]) -> None:
    """Write the list of a split's shards, in their order, as JSON: the file of each, seen from ``path``, and its rows.

    Raises UserError for a damaged one.
    """
    opened = []
    for shard in shards:
        with damaged_file_errors(shard):
            opened.append(np.load(shard, mmap_mode="r"))
    files = [os.path.relpath(shard, path.parent) for shard in shards]
    facts = {"dim": opened[0].shape[1], "shards": dict(zip(files, map(len, opened), strict=True))}
    with atomic_write(path) as part:
        part.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def open_shards(path: Path) -> Shards:
    """Map the files that a manifest names; UserError if one does not hold what the manifest says."""
    facts = json.loads(path.read_text(encoding="utf-8"))
    parts = []
    for file, rows in facts["shards"].items():
        vectors = open_vectors(path.parent / file)
        if vectors.shape != (rows, facts["dim"]):
            raise UserError(
                f"{path.parent / file}: holds fingerprints of shape {vectors.shape}, but {path.name} says "
                f"({rows}, {facts['dim']}); delete {path.name} and gather the shards again"
            )
        parts.append(vectors)
    return Shards(parts, facts["dim"])


def open_vectors(path: Path | str) -> np.ndarray | Shards:
    """Map a (n, d) float32 ``.npy`` file of unit vectors, or the shards that a ``.json`` file names, and check every row.

    Raises UserError for any other array, and for rows that are not finite or not of length 1.
    """
    if Path(path).suffix == ".json":
        return open_shards(Path(path))
    try:
        vectors = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: is not a NumPy array of fingerprints ({error}); make it again") from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise UserError(f"{path}: holds {vectors.dtype} of shape {vectors.shape}, not float32 fingerprints, one a row")
    for first in range(0, len(vectors), CHECKED_ROWS):
        check_unit(vectors[first : first + CHECKED_ROWS], path, first)
        release_pages(vectors)
    return vectors


def check_unit(vectors: np.ndarray, source: Path | str, first: int = 0) -> None:
    """Raise UserError for rows (n, d) of a file, from its row ``first`` on, that are not finite or not of length 1."""
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) <= NORM_TOLERANCE))  # NaN is not near 1 either
    if len(bad):
        raise UserError(
            f"{source}: row {first + bad[0]} has length {norms[bad[0]]:.4g}, but fingerprints are unit vectors; "
            "divide each row by its norm, or make the file again"
        )


def large_maps(vectors: np.ndarray | Shards) -> list[tuple[np.ndarray, mmap.mmap]]:
    """The arrays that are mapped from large files, with their maps."""
    parts = vectors.parts if isinstance(vectors, Shards) else [vectors]
    maps = [(part, getattr(part, "_mmap", None)) for part in parts if not part.flags.writeable]
    return [(part, mapped) for part, mapped in maps if mapped is not None and len(mapped) > LARGE_FILE]


def advise(vectors: np.ndarray | Shards, advice: str) -> None:
    """Tell the system how large mapped files will be read, or that their pages are not needed: an ``MADV_...`` of `mmap`."""
    for _, mapped in large_maps(vectors):
        mapped.madvise(getattr(mmap, advice))  # names that not every system has


def release_pages(vectors: np.ndarray | Shards) -> None:
    """Take the pages of large mapped files out of the process's memory; the system may keep them in its cache."""
    advise(vectors, "MADV_DONTNEED")


def request_rows(part: np.ndarray, rows: np.ndarray) -> None:
    """Let the system read the pages of some rows of a large mapped file side by side, before one after the other is needed."""
    for _, mapped in large_maps(part):
        rows, size = np.unique(rows), part.strides[0]
        begin = part.ctypes.data - np.frombuffer(mapped, np.uint8).ctypes.data + rows * size
        first, last = begin // mmap.PAGESIZE, (begin + size - 1) // mmap.PAGESIZE
        ends = np.append(np.flatnonzero(first[1:] > last[:-1] + 1), len(rows) - 1)
        starts = np.append(0, ends[:-1] + 1)
        for page, count in zip(first[starts].tolist(), (last[ends] - first[starts] + 1).tolist(), strict=True):
            mapped.madvise(mmap.MADV_WILLNEED, page * mmap.PAGESIZE, count * mmap.PAGESIZE)


def single_threaded_workers() -> ThreadPoolExecutor:
    """As many worker threads as Faiss may use; in each of them Faiss uses one thread."""
    import faiss  # not at the top: benchmarks/gpu.py runs without it

    return ThreadPoolExecutor(faiss.omp_get_max_threads(), initializer=lambda: faiss.omp_set_num_threads(1))


@dataclass(frozen=True)
class Database:
    """Fingerprints that an index is built from: dummy (m, d) rows 0..m-1, then db (n, d)."""

    dummy: np.ndarray | Shards
    db: np.ndarray | Shards

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

    @cached_property
    def outgrows_memory(self) -> bool:
        """Whether its large files do not stay in the system's cache, so that it matters how they are read."""
        mapped = sum(len(one) for vectors in (self.dummy, self.db) for _, one in large_maps(vectors))
        return bool(mapped) and mapped > CACHED * total_memory()

    def advise(self, advice: str) -> None:
        """Tell the system how the large files will be read, if they outgrow the memory (`advise`)."""
        if self.outgrows_memory:
            advise(self.dummy, advice)
            advise(self.db, advice)

    def parts(self) -> list[tuple[int, np.ndarray]]:
        """(first row, fingerprints) of every array that is not empty."""
        found, first = [], 0
        for vectors in (self.dummy, self.db):
            for part in vectors.parts if isinstance(vectors, Shards) else [vectors]:
                found.append((first, part))
                first += len(part)
        return [(first, part) for first, part in found if len(part)]

    def chunks(self, rows: int):
        """(first row, (<= rows, d) fingerprints) of the whole database, in chunks that do not depend on shards."""
        self.advise("MADV_SEQUENTIAL")
        for start, vectors in ((0, self.dummy), (len(self.dummy), self.db)):
            for first in range(0, len(vectors), rows):
                yield start + first, np.ascontiguousarray(vectors[first : first + rows], np.float32)
                release_pages(vectors)

    def inner_products(self, query: np.ndarray, segment: np.ndarray, row: np.ndarray) -> np.ndarray:
        """Query rows ``segment`` (n,) with rows ``row`` (n,) of the database, pair by pair -> (n,) float32.

        0 where either row does not exist. Ascending rows of a large file are read fastest, and keep the least of it mapped.
        """
        query = np.ascontiguousarray(query, np.float32)
        if query.shape[1] != self.dim:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the database's fingerprints {self.dim}")
        found = np.zeros(len(row), np.float32)
        self.advise("MADV_RANDOM")  # pages that are requested, and none around them
        for at in range(0, len(row), PAIRS):
            pairs = slice(at, at + PAIRS)
            self._dots(query, segment[pairs], row[pairs], found[pairs])
        return found

    def _dots(self, query: np.ndarray, segment: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
        """Fill ``out`` where both rows exist; without a copy if all rows are in one part."""
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
        import faiss

        if self.outgrows_memory:
            request_rows(part, j)
        pointers = (faiss.swig_ptr(x) for x in (query, i, part, j, out))
        faiss.pairwise_indexed_inner_product(self.dim, len(i), *pointers)
        release_pages(part)
