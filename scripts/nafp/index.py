"""Index types: a name in the config -> a Faiss index that is built, written to disk, and searched.

Every index holds the dummy fingerprints first and the database's behind them. What needs training is trained on the
dummy fingerprints alone. Distances are squared Euclidean; for unit vectors their order is that of the inner product.
"""

from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from nafp.errors import UserError
from nafp.files import written_whole

SAMPLES_PER_CENTROID = 39  # below it Faiss warns that k-means is unreliable
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


def l2(dim: int, n_train: int) -> faiss.Index:
    """Exact search."""
    return faiss.index_factory(dim, "Flat")


def ivf(dim: int, n_train: int, nlist: int, nprobe: int) -> faiss.Index:
    """Inverted lists of whole vectors."""
    index = faiss.index_factory(dim, f"IVF{coarse_lists(nlist, n_train)},Flat")
    index.nprobe = nprobe
    return index


def ivfpq(dim: int, n_train: int, nlist: int, nprobe: int, codes: int, bits: int, suffix: str = "") -> faiss.Index:
    """Inverted lists of product-quantised vectors, ``codes`` numbers of ``bits`` bits each (paper 3.5)."""
    if dim % codes:
        raise UserError(f"codes: {codes} does not divide the fingerprint's {dim} dimensions")
    nlist, bits = coarse_lists(nlist, n_train), product_bits(bits, n_train)
    index = faiss.index_factory(dim, f"IVF{nlist},PQ{codes}x{bits}{suffix}")
    lists = faiss.downcast_index(faiss.extract_index_ivf(index))
    lists.nprobe = nprobe
    lists.do_polysemous_training = False  # only polysemous search, which is not used, needs it; it is most of the time
    return index


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
    if dim % codes:
        raise UserError(f"codes: {codes} does not divide the fingerprint's {dim} dimensions")
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
}


def build_index(name: str, options: dict, dummy: np.ndarray, db: np.ndarray) -> faiss.Index:
    """Train the named index on ``dummy`` (m, d) and add ``dummy``, then ``db`` (n, d): ids 0..m-1, then m..m+n-1."""
    if dummy.shape[1] != db.shape[1]:
        raise UserError(f"the dummy fingerprints have {dummy.shape[1]} dimensions, the database's {db.shape[1]}")
    index = INDEXES[name](dummy.shape[1], len(dummy), **options)
    if not index.is_trained:
        index.train(np.ascontiguousarray(dummy, np.float32))
    for vectors in (dummy, db):
        for first in range(0, len(vectors), ADD_CHUNK):
            index.add(np.ascontiguousarray(vectors[first : first + ADD_CHUNK], np.float32))
    return index


def write_index(index: faiss.Index, path: Path) -> None:
    """Write an index to disk, under a temporary name until it is complete."""
    with written_whole(path) as part:
        faiss.write_index(index, str(part))


def read_index(path: Path | str) -> faiss.Index:
    """Read an index, memory-mapped where its type allows."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
