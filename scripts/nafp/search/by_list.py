"""Search of inverted lists for many queries at once: list by list instead of query by query.

Faiss looks up every query's lists one after the other. With thousands of queries each list is wanted by hundreds of them:
it is then decoded once, and one matrix product compares it with all of these. The neighbours are the same.
"""

from collections.abc import Iterator

import faiss
import numpy as np
from faiss.contrib.inspect_tools import get_invlist

from nafp.search.vectors import one_thread_each

LIST_QUERIES = 16  # that want a list on average: with fewer, query by query is faster
BLOCK = 2**22  # distances computed at a time
DECODABLE = (faiss.IndexIVFFlat, faiss.IndexIVFPQ, faiss.IndexIVFScalarQuantizer)


def worth_it(index: faiss.Index, queries: int) -> bool:
    """Whether the index has lists that can be decoded, and enough queries for each."""
    return type(index) in DECODABLE and queries * index.nprobe >= LIST_QUERIES * index.nlist


def search_by_list(index: faiss.IndexIVF, query: np.ndarray, k: int) -> np.ndarray:
    """(n, d) -> (n, k) ids by squared distance, the nearest first, -1 where there are fewer.

    Each thread takes a part of the lists; their best are then joined.
    """
    threads = faiss.omp_get_max_threads()
    assigned = index.quantizer.search(query, index.nprobe)[1].ravel()
    order = np.argsort(assigned, kind="stable")
    bounds = np.searchsorted(assigned[order], np.arange(index.nlist + 1))
    wanting = order // index.nprobe

    def best_of(part: range) -> faiss.ResultHeap:
        heap = faiss.ResultHeap(len(query), k)
        for number in part:
            rows = wanting[bounds[number] : bounds[number + 1]]
            for ids, vectors in pieces(index, number, max(BLOCK // max(len(rows), 1), 1)) if len(rows) else ():
                # Faiss' own product, not NumPy's: it keeps to the one thread that this one may use
                heap.add_result_subset(rows, faiss.pairwise_distances(query[rows], vectors), ids)
        return heap

    parts = [range(first, index.nlist, threads) for first in range(threads)]
    with one_thread_each() as pool:
        first, *others = pool.map(best_of, parts)
    for heap in others:
        first.add_result(heap.D, heap.I)
    first.finalize()
    return first.I


def pieces(index: faiss.IndexIVF, number: int, most: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids (m,) and decoded vectors (m, d) of a list, at most ``most`` at a time."""
    ids, codes = get_invlist(index.invlists, number)
    for first in range(0, len(ids), most):
        some = np.ascontiguousarray(codes[first : first + most])
        vectors = np.empty((len(some), index.d), np.float32)
        lists = np.full(len(some), number)
        index.decode_vectors(len(some), *(faiss.swig_ptr(x) for x in (some, lists, vectors)))
        yield ids[first : first + most], vectors
