"""Index types: a name in the config -> a Faiss index that is built, written to disk, and searched.

Every index holds the dummy fingerprints first and the database's behind them. What needs training is trained on the
dummy fingerprints alone. Distances are squared Euclidean; for unit vectors their order is that of the inner product.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import faiss
import numpy as np
from faiss.contrib.ondisk import merge_ondisk

from nafp.errors import UserError
from nafp.search.by_list import search_by_list, worth_it
from nafp.search.vectors import Database, one_thread_each

SAMPLES_PER_CENTROID = 39  # below it Faiss warns that k-means is unreliable
SHARED = 512  # queries from which each thread searches its own
ADD_CHUNK = 2**18  # vectors added at a time, so that a memory-mapped database need not fit into memory


def coarse_lists(wanted: int, n_train: int) -> int:
    """``wanted`` inverted lists, or as many as the training vectors can support (and says so)."""
    affordable = max(1, n_train // SAMPLES_PER_CENTROID)
    if affordable < wanted:
        print(f"{n_train} training vectors support {affordable} inverted lists, not {wanted}: using {affordable}")
    return min(wanted, affordable)


def product_bits(wanted: int, n_train: int) -> int:
    """``wanted`` bits per code, or as many as there are training vectors for (and says so)."""
    affordable = max(1, int(np.log2(max(n_train, 2))))
    if affordable < wanted:
        print(f"{n_train} training vectors support codes of {affordable} bits, not {wanted}: using {affordable}")
    return min(wanted, affordable)


def check_codes(codes: int, dim: int) -> None:
    """A product quantiser cuts a fingerprint into ``codes`` pieces of one length."""
    if dim % codes:
        raise UserError(f"codes: {codes} does not divide the fingerprint's {dim} dimensions")


def l2(dim: int, n_train: int) -> faiss.Index:
    """Exact search; the nearest unit vector has the largest inner product, which is cheaper than the distance."""
    return faiss.index_factory(dim, "Flat", faiss.METRIC_INNER_PRODUCT)


def ivf(dim: int, n_train: int, nlist: int, nprobe: int) -> faiss.Index:
    """Inverted lists of whole vectors."""
    index = faiss.index_factory(dim, f"IVF{coarse_lists(nlist, n_train)},Flat")
    index.nprobe = nprobe
    return index


def ivfpq(dim: int, n_train: int, nlist: int, nprobe: int, codes: int, bits: int, suffix: str = "") -> faiss.Index:
    """Inverted lists of product-quantised vectors, ``codes`` numbers of ``bits`` bits each (paper 3.5)."""
    check_codes(codes, dim)
    nlist, bits = coarse_lists(nlist, n_train), product_bits(bits, n_train)
    index = faiss.index_factory(dim, f"IVF{nlist},PQ{codes}x{bits}{suffix}")
    lists = faiss.downcast_index(faiss.extract_index_ivf(index))
    lists.nprobe = nprobe
    lists.do_polysemous_training = False  # only polysemous search, which is not used, needs it; it is most of the time
    return index


def ivfpq_rr_ondisk(dim: int, n_train: int, factor: float, **options) -> faiss.Index:
    """``ivfpq`` with its lists on disk, whose ``factor`` times k best ``Index`` ranks again by the vectors' own files."""
    return ivfpq(dim, n_train, **options)


def ivfpq_rr(dim: int, n_train: int, factor: float, **options) -> faiss.Index:
    """``ivfpq`` whose ``factor`` times k best are ranked again by their exact distance."""
    index = ivfpq(dim, n_train, **options, suffix=",RFlat")
    index.k_factor = factor
    return index


def hnsw(dim: int, n_train: int, links: int, ef_construction: int, ef_search: int) -> faiss.Index:
    """Hierarchical navigable small-world graph over whole vectors."""
    index = faiss.index_factory(dim, f"HNSW{links},Flat")
    index.hnsw.efConstruction, index.hnsw.efSearch = ef_construction, ef_search
    return index


def sq8(dim: int, n_train: int) -> faiss.Index:
    """Exhaustive search of vectors rounded to 8 bits a dimension."""
    return faiss.index_factory(dim, "SQ8")


def ivfpq_fastscan(dim: int, n_train: int, nlist: int, nprobe: int, codes: int) -> faiss.Index:
    """Inverted lists of ``codes`` numbers of 4 bits each, compared in registers (Faiss "fast scan", arXiv 1704.07355)."""
    check_codes(codes, dim)
    index = faiss.index_factory(dim, f"IVF{coarse_lists(nlist, n_train)},PQ{codes}x4fs")
    index.nprobe = nprobe
    return index


def ivf_rabitq(dim: int, n_train: int, nlist: int, nprobe: int) -> faiss.Index:
    """Inverted lists of one bit a dimension after a random rotation (RaBitQ, arXiv 2405.12497)."""
    index = faiss.index_factory(dim, f"RR{dim},IVF{coarse_lists(nlist, n_train)},RaBitQ")
    faiss.extract_index_ivf(index).nprobe = nprobe
    return index


INDEXES: dict[str, Callable[..., faiss.Index]] = {
    "l2": l2,
    "ivf": ivf,
    "ivfpq": ivfpq,
    "ivfpq-rr": ivfpq_rr,
    "hnsw": hnsw,
    "sq8": sq8,
    "ivfpq-fastscan": ivfpq_fastscan,
    "ivf-rabitq": ivf_rabitq,
    "ivfpq-rr-ondisk": ivfpq_rr_ondisk,
}


ON_DISK = {"ivfpq-rr-ondisk"}
ON_GPU = {"l2", "ivf", "ivfpq", "sq8"}  # the types that Faiss has a GPU version of
DEVICES = ("auto", "cpu", "gpu")


class Index:
    """A built index, ready to search.

    ``factor``: if given, ``factor`` times k neighbours are ranked again by their inner product with the vectors of
    ``database``, which lie on disk.
    """

    def __init__(self, index: faiss.Index, database: Database | None = None, factor: float | None = None):
        self.index, self.database, self.factor = index, database, factor

    def __len__(self) -> int:
        return self.index.ntotal

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) ids, the nearest first; -1 where there are fewer."""
        query = np.ascontiguousarray(query, np.float32)
        if query.shape[1] != self.index.d:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.index.d}")
        if self.factor is None:
            return self._search(query, k)
        ids = self._search(query, min(round(self.factor * k), len(self)))
        pairs = np.repeat(np.arange(len(ids)), ids.shape[1]), ids.ravel()
        exact = np.where(ids < 0, -np.inf, self.database.inner_products(query, *pairs).reshape(ids.shape))
        order = np.argsort(-exact, axis=1, kind="stable")[:, :k]
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
    name: str, options: Mapping, database: Database, folder: Path, seed: int = 0, train_max: int = 10**6
) -> None:
    """Build the named index of a database in a folder, under a temporary name until it is complete.

    What needs training is trained on the dummy fingerprints, on a random sample of at most ``train_max``.
    """
    sample = training_sample(database, seed, train_max)
    index = INDEXES[name](database.dim, len(sample), **options)
    if not index.is_trained:
        if len(sample) < 2:
            raise UserError(
                f"{name}: {len(sample)} dummy fingerprints are too few to train it; use l2, or a larger database"
            )
        index.train(sample)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        if name in ON_DISK:
            fill_on_disk(index, database, part)
        else:
            for _, vectors in database.chunks(ADD_CHUNK):
                index.add(vectors)
        faiss.write_index(index, str(part / "index.faiss"))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def training_sample(database: Database, seed: int, most: int) -> np.ndarray:
    """At most ``most`` dummy fingerprints, drawn with ``seed``."""
    dummy = database.dummy
    if len(dummy) <= most:
        return np.ascontiguousarray(dummy, np.float32)
    return np.ascontiguousarray(dummy[np.sort(np.random.default_rng(seed).choice(len(dummy), most, replace=False))])


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
    merge_ondisk(index, [str(path) for path in parts], str(folder / "lists.bin"))
    for path in parts:
        path.unlink()


def on_device(index: faiss.Index, name: str, device: str) -> faiss.Index:
    """The index on a GPU if ``device`` is auto or gpu, there is one, and the type has a GPU version; says so if not."""
    if device == "cpu":
        return index
    if not getattr(faiss, "get_num_gpus", int)():
        print("search.device: there is no GPU that Faiss can use, searching on the CPU")
        return index
    if name not in ON_GPU:
        print(f"search.device: Faiss has no GPU version of {name}, searching on the CPU")
        return index
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index)


def read_index(name: str, options: Mapping, folder: Path | str, database: Database, device: str = "cpu") -> Index:
    """Open an index, memory-mapped where its type allows; UserError if it is damaged or of another database."""
    path = Path(folder) / "index.faiss"
    flags = faiss.IO_FLAG_ONDISK_SAME_DIR if name in ON_DISK else faiss.IO_FLAG_MMAP_IFC
    try:
        index = faiss.read_index(str(path), flags)
    except RuntimeError as error:
        raise UserError(
            f"{path}: cannot be read, it is damaged or missing; delete {folder} and build it again"
        ) from error
    if index.ntotal != len(database):
        raise UserError(
            f"{path}: holds {index.ntotal} fingerprints, but the database has {len(database)}; delete {folder} and "
            "build it again"
        )
    index = on_device(index, name, device)
    return Index(index, database, options["factor"]) if name in ON_DISK else Index(index)
