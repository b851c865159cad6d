"""Search of inverted lists for many queries at once: list by list instead of query by query.

Faiss decodes the lists of each query in turn. With thousands of queries, each list is probed by hundreds of them: here it is
decoded once, and one matrix product compares it with all of these queries. The neighbours are the same.
"""

from collections.abc import Iterator

import faiss
import numpy as np

from nafp.search.ondisk import release_lists
from nafp.search.vectors import single_threaded_workers

MIN_QUERIES_PER_LIST = 16  # on average; with fewer, query by query is faster
MAX_VECTORS = 2**11  # vectors decoded at a time: they and their distances stay in a core's cache
MAX_DISTANCES = 2**19  # distances computed at a time
MAPPED_LISTS = 64  # lists on disk that a thread reads before their pages are released
DECODABLE = (faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer)


def suits_search_by_list(index: faiss.Index, queries: int) -> bool:
    """Whether the index has lists that can be decoded, and each is probed by enough queries."""
    return type(index) in DECODABLE and queries * index.nprobe >= MIN_QUERIES_PER_LIST * index.nlist


def search_by_list(index: faiss.IndexIVF, query: np.ndarray, k: int) -> np.ndarray:
    """(n, d) -> (n, k) ids by squared distance, the nearest first; -1 where there are fewer.

    Each thread searches a part of the lists; their best neighbours are then merged.
    """
    threads = faiss.omp_get_max_threads()
    assigned = index.quantizer.search(query, index.nprobe)[1].ravel()
    order = np.argsort(assigned, kind="stable")
    bounds = np.searchsorted(assigned[order], np.arange(index.nlist + 1))
    probing = order // index.nprobe  # rows of query, in the order of the lists that they probe

    def best_in(part: range) -> faiss.ResultHeap:
        heap = faiss.ResultHeap(len(query), k)
        vectors = np.empty((MAX_VECTORS, index.d), np.float32)
        distances = np.empty(max(MAX_DISTANCES, len(query)), np.float32)
        for done, number in enumerate(part, start=1):
            rows = probing[bounds[number] : bounds[number + 1]]
            some, most = query[rows], MAX_DISTANCES // max(len(rows), 1)
            for ids in decoded_chunks(index, number, vectors[: max(most, 1)]) if len(rows) else ():
                found = distances[: len(rows) * len(ids)].reshape(len(rows), len(ids))
                # Faiss's product, which stays in this thread; NumPy's would start others
                faiss.pairwise_L2sqr(index.d, *sized(some), *sized(vectors[: len(ids)]), faiss.swig_ptr(found))
                heap.add_result_subset(rows, found, ids)
            if done % MAPPED_LISTS == 0:
                release_lists(index.invlists)
        return heap

    parts = [range(first, index.nlist, threads) for first in range(threads)]
    with single_threaded_workers() as pool:
        first, *others = pool.map(best_in, parts)
    for heap in others:
        first.add_result(heap.D, heap.I)
    first.finalize()
    return first.I


def sized(array: np.ndarray) -> tuple:
    """Length and pointer of an array, as Faiss takes them."""
    return len(array), faiss.swig_ptr(array)


def decoded_chunks(index: faiss.IndexIVF, number: int, vectors: np.ndarray) -> Iterator[np.ndarray]:
    """Ids (m,) of a list, as many at a time as there is room for in ``vectors`` (r, d), which their vectors are decoded into.

    Ids and codes are read where they lie.
    """
    lists, size = index.invlists, index.invlists.list_size(number)
    if not size:
        return
    ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
    codes = faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).reshape(size, lists.code_size)
    for first in range(0, size, len(vectors)):
        some = codes[first : first + len(vectors)]
        numbers = np.full(len(some), number)
        index.decode_vectors(len(some), *map(faiss.swig_ptr, (some, numbers, vectors)))
        yield ids[first : first + len(vectors)]
