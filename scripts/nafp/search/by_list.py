"""Search of inverted lists for many queries at once: list by list instead of query by query.

Faiss decodes the lists of each query in turn. With thousands of queries, each list is probed by hundreds of them: here it is
decoded once, and one matrix product compares it with all of these queries. The neighbours are the same.
"""

from collections.abc import Iterator

import faiss
import numpy as np
from faiss.contrib.inspect_tools import get_invlist

from nafp.search.ondisk import release_lists
from nafp.search.vectors import single_threaded_workers

MIN_QUERIES_PER_LIST = 16  # on average; with fewer, query by query is faster
MAX_DISTANCES = 2**22  # distances computed at a time
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
        for done, number in enumerate(part, start=1):
            rows = probing[bounds[number] : bounds[number + 1]]
            for ids, vectors in (
                decoded_chunks(index, number, max(MAX_DISTANCES // max(len(rows), 1), 1)) if len(rows) else ()
            ):
                # Faiss's product, which stays in this thread; NumPy's would start others
                heap.add_result_subset(rows, faiss.pairwise_distances(query[rows], vectors), ids)
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


def decoded_chunks(index: faiss.IndexIVF, number: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids (m,) and decoded vectors (m, d) of a list, at most ``size`` at a time."""
    ids, codes = get_invlist(index.invlists, number)
    for first in range(0, len(ids), size):
        some = np.ascontiguousarray(codes[first : first + size])
        vectors = np.empty((len(some), index.d), np.float32)
        lists = np.full(len(some), number)
        index.decode_vectors(len(some), *(faiss.swig_ptr(x) for x in (some, lists, vectors)))
        yield ids[first : first + size], vectors
