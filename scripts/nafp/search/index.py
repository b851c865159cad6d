"""An index: built, written to disk, kept up to date, read and searched.

Every index holds the dummy fingerprints first and the database's behind them. What needs training is trained on the
dummy fingerprints alone. Distances are squared Euclidean; for unit vectors their order is that of the inner product.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk

from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.search.by_list import search_by_list, worth_it
from nafp.search.checks import check_training, type_of
from nafp.search.gpu import to_gpu, without_faiss
from nafp.search.milvus import Collection, build_collection
from nafp.search.types import INDEXES, MILVUS, ON_DISK
from nafp.search.vectors import Database, one_thread_each
from nafp.secrets import without_secrets

if TYPE_CHECKING:
    from nafp.search.exact import ExactSearch

SHARED = 512  # queries from which each thread searches its own
INDEX_FILE, LISTS_FILE = "index.faiss", "lists.bin"
ADD_CHUNK = 2**18  # vectors added at a time, so that a memory-mapped database need not fit into memory
GROWTH = 4  # times what it was trained on, up to which an index only takes additions


class Index:
    """A built index, ready to search.

    ``factor``: if given, ``factor`` times k neighbours are ranked again by their inner product with the vectors of
    ``database``. ``memory_bytes``: what it keeps in memory, by its structure (not measured).
    """

    def __init__(
        self,
        index: faiss.Index,
        database: Database | None = None,
        factor: float | None = None,
        memory_bytes: int | None = None,
    ):
        self.index, self.database, self.factor, self.memory_bytes = index, database, factor, memory_bytes

    def __len__(self) -> int:
        return self.index.ntotal

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that it lies on; None on the CPU."""
        return self.index.getDevice() if hasattr(self.index, "getDevice") else None

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) ids, the nearest first; -1 where there are fewer."""
        query = np.ascontiguousarray(query, np.float32)
        if query.shape[1] != self.index.d:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.index.d}")
        if self.factor is None:
            return self._search(query, k)
        ids = self._search(query, min(round(self.factor * k), len(self)))
        in_file = np.argsort(ids, axis=None)
        exact = np.empty(ids.shape, np.float32)
        exact.put(in_file, self.database.inner_products(query, in_file // ids.shape[1], ids.take(in_file)))
        order = np.argsort(np.where(ids < 0, np.inf, -exact), axis=1, kind="stable")[:, :k]
        return np.take_along_axis(ids, order, axis=1)

    def _search(self, query: np.ndarray, k: int) -> np.ndarray:
        if worth_it(self.index, len(query)):
            return search_by_list(self.index, query, k)
        if len(query) < SHARED or not isinstance(self.index, faiss.IndexFlat):
            return self.index.search(query, k)[1]
        with one_thread_each() as pool:  # matrix products of their own scale better than shared ones
            parts = np.array_split(query, faiss.omp_get_max_threads())
            return np.concatenate(list(pool.map(lambda part: self.index.search(part, k)[1], parts)))


def build_index(
    name: str,
    options: Mapping,
    database: Database,
    folder: Path,
    seed: int = 0,
    train_max: int = 10**6,
    device: str = "cpu",
) -> int | None:
    """Build the named index of a database in a folder, under a temporary name until it is complete.

    What needs training is trained on the dummy fingerprints, on a random sample of at most ``train_max``. Returns the number
    of the GPU that did it; None if the CPU did.
    """
    kind, options = type_of(name, options)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    gpu = None
    try:
        if kind == MILVUS:
            build_collection(options, database, part, folder)
        else:
            index, gpu = trained(kind, options, database, seed, train_max, device)
            fill(index, kind, database, part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return gpu


def trained(
    kind: str, options: Mapping, database: Database, seed: int, train_max: int, device: str = "cpu"
) -> tuple[faiss.Index, int | None]:
    """An empty index of a type that is ready for its vectors, and the GPU that trained it, if ``device`` allows one."""
    sample = training_sample(database, seed, train_max)
    check_training(kind, len(sample))
    index = INDEXES[kind](database.dim, len(sample), **options)
    if index.is_trained:
        return index, None
    there = to_gpu(index, kind, options, device)
    there.train(sample)
    return (index, None) if there is index else (faiss.index_gpu_to_cpu(there), there.getDevice())


def fill(index: faiss.Index, kind: str, database: Database, folder: Path) -> None:
    """Add a database to a trained index, and write it to a folder."""
    if kind in ON_DISK:
        fill_on_disk(index, database, folder)
    else:
        for _, vectors in database.chunks(ADD_CHUNK):
            index.add(vectors)
    faiss.write_index(index, str(folder / INDEX_FILE))


def update_index(name: str, options: Mapping, database: Database, folder: Path, **building) -> None:
    """Bring the index of a database that only grows up to date: what is new is added to what is there.

    It is built (``build_index``) if it is missing, has other options or an older database that was GROWTH times smaller,
    and for types whose files do not take additions.
    """
    about = folder / "about.json"
    wanted = {"name": name, "options": without_secrets(options)}
    facts = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
    same = {key: facts.get(key) for key in wanted} == wanted
    kind = type_of(name, options)[0]
    if not same or kind in ON_DISK or kind == MILVUS or len(database) > GROWTH * facts["rows_at_first"]:
        build_index(name, options, database, folder, **building)
        about.write_text(json.dumps(wanted | {"rows_at_first": len(database)}), encoding="utf-8")
        return
    index = read_faiss(folder / INDEX_FILE)
    known = index.ntotal
    if known < len(database):
        for first, vectors in database.chunks(ADD_CHUNK):
            index.add(vectors[max(known - first, 0) :])
        with atomic_write(folder / INDEX_FILE) as part:
            faiss.write_index(index, str(part))


def training_sample(database: Database, seed: int, most: int) -> np.ndarray:
    """At most ``most`` dummy fingerprints, drawn with ``seed``."""
    dummy = database.dummy
    if len(dummy) <= most:
        return np.ascontiguousarray(dummy, np.float32)
    rows = np.sort(np.random.default_rng(seed).choice(len(dummy), most, replace=False))
    sample = np.empty((most, database.dim), np.float32)
    for first, vectors in database.chunks(ADD_CHUNK):
        low, high = np.searchsorted(rows, [first, first + len(vectors)])
        sample[low:high] = vectors[rows[low:high] - first]
    return sample


def fill_on_disk(index: faiss.Index, database: Database, folder: Path) -> None:
    """Add a database to an empty trained index whose inverted lists are one file, without holding them in memory.

    Chunks become indexes of their own on disk, and their lists are then joined list by list.
    """
    empty = faiss.serialize_index(index)
    parts = []
    for first, vectors in database.chunks(ADD_CHUNK):
        one = faiss.deserialize_index(empty)
        one.add_with_ids(vectors, np.arange(first, first + len(vectors)))
        parts.append(folder / f"part-{first}.faiss")
        faiss.write_index(one, str(parts[-1]))
    merge_ondisk(index, [str(path) for path in parts], str(folder / LISTS_FILE))
    for path in parts:
        path.unlink()


def read_index(
    name: str, options: Mapping, folder: Path | str, database: Database, device: str = "cpu"
) -> "Index | Collection | ExactSearch":
    """Open an index, memory-mapped where its type allows; UserError if it is damaged or of another database."""
    (kind, options), folder = type_of(name, options), Path(folder)
    if kind == MILVUS:
        return Collection(options, folder, database)
    path = folder / INDEX_FILE
    index = read_faiss(path, faiss.IO_FLAG_ONDISK_SAME_DIR if kind in ON_DISK else faiss.IO_FLAG_MMAP_IFC)
    if index.ntotal != len(database):
        raise UserError(
            f"{path}: holds {index.ntotal} fingerprints, but the database has {len(database)}; delete {folder} and "
            "build it again"
        )
    if there := without_faiss(kind, device):
        from nafp.search.exact import ExactSearch  # PyTorch takes seconds to load

        return ExactSearch(database, there)
    memory_bytes = path.stat().st_size + 4 * tables_of(index)
    if kind in ON_DISK:
        check_lists(index, folder)
        return Index(index, database, options["factor"], memory_bytes)
    if isinstance(index, faiss.IndexRefineFlat):
        base = faiss.downcast_index(index.base_index)
        base.referenced_objects = [index]  # which owns the memory of both
        return Index(base, stored(index), index.k_factor, memory_bytes)
    return Index(to_gpu(index, kind, options, device), memory_bytes=memory_bytes)


def stored(index: faiss.IndexRefineFlat) -> Database:
    """The vectors that an index ranks again by, where they lie."""
    flat = faiss.downcast_index(index.refine_index)
    vectors = faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
    return Database(vectors[:0], vectors)


def read_faiss(path: Path, flags: int = 0) -> faiss.Index:
    """Read a file of Faiss; UserError if it cannot be read."""
    try:
        return faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise UserError(
            f"{path}: cannot be read, it is damaged or missing; delete {path.parent} and build it again"
        ) from error


def check_lists(index: faiss.IndexIVF, folder: Path) -> None:
    """The file of the inverted lists is as long as the index says: a read beyond its end would end the process."""
    file, expected = folder / LISTS_FILE, faiss.downcast_InvertedLists(index.invlists).totsize
    if file.stat().st_size != expected:
        raise UserError(
            f"{file}: has {file.stat().st_size} bytes, but the index needs {expected}; delete {folder} and build it again"
        )


def tables_of(index: faiss.Index) -> int:
    """Numbers in the tables that a product quantiser's lists make when they are read; they are in no file."""
    try:
        lists = faiss.downcast_index(faiss.extract_index_ivf(index))
    except RuntimeError:  # it has no inverted lists
        return 0
    return lists.precomputed_table.size() if isinstance(lists, faiss.IndexIVFPQ) else 0
