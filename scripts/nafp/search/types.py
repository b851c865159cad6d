"""Index types: a name in the config -> an empty Faiss index."""

from collections.abc import Callable

import faiss
import numpy as np

from nafp.search.checks import codes_of

SAMPLES_PER_CENTROID = 39  # below it Faiss warns that k-means is unreliable


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


def product_codes(wanted: int, dim: int) -> int:
    """``wanted`` codes, or one for each dimension if there are fewer (and says so)."""
    codes = codes_of(wanted, dim)
    if codes < wanted:
        print(f"codes: a fingerprint of {dim} dimensions has no more than {dim} codes, not {wanted}: using {codes}")
    return codes


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
    nlist, codes, bits = coarse_lists(nlist, n_train), product_codes(codes, dim), product_bits(bits, n_train)
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
    index = faiss.index_factory(dim, f"IVF{coarse_lists(nlist, n_train)},PQ{product_codes(codes, dim)}x4fs")
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


MILVUS = "milvus"
ON_DISK = {"ivfpq-rr-ondisk"}
DEVICES = ("auto", "cpu", "gpu")
