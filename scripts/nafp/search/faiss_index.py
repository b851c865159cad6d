"""An index of Faiss: built and written to a file, extended, read and searched."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np

from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.search.by_list import search_by_list, suits_search_by_list
from nafp.search.gpu import gpu_without_faiss, to_gpu
from nafp.search.ondisk import CHUNK, LISTS_FILE, Unfinished, fill_lists, trained_once
from nafp.search.types.base import Building, FaissType
from nafp.search.vectors import Database, single_threaded_workers

if TYPE_CHECKING:
    from nafp.search.exact import ExactSearch

MIN_QUERIES_TO_SPLIT = 512  # queries of an exhaustive search; fewer are not split, all threads work on each
INDEX_FILE = "index.faiss"


class FaissIndex:
    """An open index of Faiss.

    ``k_factor``: if given, ``k_factor`` times k neighbours are ranked again by their inner product with the vectors of
    ``database``. ``memory_bytes``: what it keeps in memory, by its structure (not measured).
    """

    def __init__(
        self,
        index: faiss.Index,
        database: Database | None = None,
        k_factor: float | None = None,
        memory_bytes: int | None = None,
    ):
        self.index, self.database, self.k_factor, self.memory_bytes = index, database, k_factor, memory_bytes

    def __len__(self) -> int:
        return self.index.ntotal

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that holds it; None on the CPU."""
        return self.index.getDevice() if hasattr(self.index, "getDevice") else None

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) ids, the nearest first; -1 where there are fewer."""
        query = np.ascontiguousarray(query, np.float32)
        if query.shape[1] != self.index.d:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.index.d}")
        if self.k_factor is None:
            return self._search(query, k)
        ids = self._search(query, min(round(self.k_factor * k), len(self)))
        exact = self._inner_products(query, ids)
        order = np.argsort(np.where(ids < 0, np.inf, -exact), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(ids, order, axis=1)

    def _inner_products(self, query: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Of each query with its candidates ``ids`` (n, c); each thread reads a part of the database in the order of its file."""
        in_file, exact = np.argsort(ids, axis=None), np.empty(ids.shape, np.float32)

        def read(some: np.ndarray) -> None:
            exact.put(some, self.database.inner_products(query, some // ids.shape[1], ids.take(some)))

        with single_threaded_workers() as pool:
            list(pool.map(read, np.array_split(in_file, faiss.omp_get_max_threads())))
        return exact

    def _search(self, query: np.ndarray, k: int) -> np.ndarray:
        if suits_search_by_list(self.index, len(query)):
            return search_by_list(self.index, query, k)
        if len(query) < MIN_QUERIES_TO_SPLIT or not isinstance(self.index, faiss.IndexFlat):
            return self.index.search(query, k)[1]
        with (
            single_threaded_workers() as pool
        ):  # a matrix product in each thread scales better than one that all threads share
            parts = np.array_split(query, faiss.omp_get_max_threads())
            return np.concatenate(list(pool.map(lambda part: self.index.search(part, k)[1], parts)))


def fill_folder(
    index_type: FaissType, database: Database, folder: Path, unfinished: Path, building: Building
) -> int | None:
    """Build an index and write it to a folder. Returns the number of the GPU that trained it; None if the CPU did.

    On disk, what a killed build had done is taken from the folder ``unfinished``, which is removed at the end.
    """
    sample = training_sample(database, building.seed, building.train_max)
    index_type.check_training(len(sample))
    train = partial(trained, index_type, sample, building.device)
    before = Unfinished(unfinished)
    if index_type.on_disk:
        index, gpu = trained_once(before, f"{index_type}, {database.dim} dimensions", sample, train)
        fill_lists(index, database, before, folder)
    else:
        index, gpu = train()
        for _, vectors in database.chunks(CHUNK):
            index.add(vectors)
    faiss.write_index(index, str(folder / INDEX_FILE))
    before.clear()
    return gpu


def trained(index_type: FaissType, sample: np.ndarray, device: str) -> tuple[faiss.Index, int | None]:
    """An empty index that is trained on a sample (n, d), and the number of the GPU that did it."""
    index = index_type.create(sample.shape[1], len(sample))
    if index.is_trained:
        return index, None
    there = to_gpu(index, index_type, device)
    there.train(sample)
    return (index, None) if there is index else (faiss.index_gpu_to_cpu(there), there.getDevice())


def training_sample(database: Database, seed: int, most: int) -> np.ndarray:
    """At most ``most`` dummy fingerprints, drawn with ``seed``."""
    dummy = database.dummy
    if len(dummy) <= most:
        return np.ascontiguousarray(dummy, np.float32)
    rows = np.sort(np.random.default_rng(seed).choice(len(dummy), most, replace=False))
    sample = np.empty((most, database.dim), np.float32)
    for first, vectors in database.chunks(CHUNK):
        low, high = np.searchsorted(rows, [first, first + len(vectors)])
        sample[low:high] = vectors[rows[low:high] - first]
    return sample


def extend_folder(folder: Path, database: Database) -> None:
    """Add the last rows of a database, which the index in the folder lacks."""
    index = read_faiss(folder / INDEX_FILE)
    known = index.ntotal
    if known < len(database):
        for first, vectors in database.chunks(CHUNK):
            index.add(vectors[max(known - first, 0) :])
        with atomic_write(folder / INDEX_FILE) as part:
            faiss.write_index(index, str(part))


def open_folder(index_type: FaissType, folder: Path, database: Database, device: str) -> "FaissIndex | ExactSearch":
    """Open an index, memory-mapped where its type allows; UserError if it is damaged or of another database."""
    path = folder / INDEX_FILE
    on_disk = faiss.IO_FLAG_ONDISK_SAME_DIR | faiss.IO_FLAG_READ_ONLY
    index = read_faiss(path, on_disk if index_type.on_disk else faiss.IO_FLAG_MMAP_IFC)
    if index.ntotal != len(database):
        raise UserError(
            f"{path}: holds {index.ntotal} fingerprints, but the database has {len(database)}; delete {folder} and "
            "build it again"
        )
    if index_type.exhaustive and (there := gpu_without_faiss(device)):
        from nafp.search.exact import ExactSearch  # PyTorch takes seconds to load

        return ExactSearch(database, there)
    memory_bytes = path.stat().st_size + 4 * precomputed_numbers(index)
    if index_type.on_disk:
        check_lists(index, folder)
        return FaissIndex(index, database, index_type.k_factor, memory_bytes)
    if isinstance(index, faiss.IndexRefineFlat):
        base = faiss.downcast_index(index.base_index)
        base.referenced_objects = [index]  # keeps the memory that both use
        return FaissIndex(base, refining_vectors(index), index.k_factor, memory_bytes)
    return FaissIndex(to_gpu(index, index_type, device), memory_bytes=memory_bytes)


def refining_vectors(index: faiss.IndexRefineFlat) -> Database:
    """The vectors that an index ranks candidates again by, not copied."""
    flat = faiss.downcast_index(index.refine_index)
    vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
    return Database(vectors[:0], vectors)


def read_faiss(path: Path, flags: int = 0) -> faiss.Index:
    """Read a file of Faiss; UserError if it cannot be read."""
    try:
        return faiss.read_index(str(path), flags)
    except (RuntimeError, MemoryError) as error:  # a damaged size asks for more memory than there is
        problem = "damaged or missing" if isinstance(error, RuntimeError) else "damaged, or larger than the free memory"
        raise UserError(f"{path}: cannot be read, it is {problem}; delete {path.parent} and build it again") from error


def check_lists(index: faiss.Index, folder: Path) -> None:
    """Raise UserError if the inverted lists are not what their file has: a read beyond its end would kill the process."""
    file = folder / LISTS_FILE
    lists = faiss.downcast_InvertedLists(index.invlists) if isinstance(index, faiss.IndexIVF) else None
    if not isinstance(lists, faiss.OnDiskInvertedLists):
        raise UserError(f"{folder / INDEX_FILE}: is an index of another type; delete {folder} and build it again")
    found, counted = file.stat().st_size, sum(map(lists.list_size, range(index.nlist)))
    if found != lists.totsize or counted != index.ntotal:
        raise UserError(
            f"{file}: has {found} bytes, but the index needs {lists.totsize}, for {index.ntotal} fingerprints in lists of "
            f"{counted}; delete {folder} and build it again"
        )


def precomputed_numbers(index: faiss.Index) -> int:
    """How many numbers are in the tables that an index with a product quantiser computes when it is read."""
    try:
        lists = faiss.downcast_index(faiss.extract_index_ivf(index))
    except RuntimeError:  # an index without inverted lists
        return 0
    return lists.precomputed_table.size() if isinstance(lists, faiss.IndexIVFPQ) else 0
