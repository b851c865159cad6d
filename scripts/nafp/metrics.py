"""The search test of training: hit rates by exhaustive search, without an index."""

from collections.abc import Sequence

import numpy as np


def diagonal_sums(scores: np.ndarray, length: int) -> np.ndarray:
    """(n, m) -> (n - length + 1, m - length + 1): entry (i, j) is the sum of scores[i + l, j + l] over l < length."""
    rows, columns = scores.shape
    total = np.zeros((rows - length + 1, columns - length + 1), scores.dtype)
    for step in range(length):
        total += scores[step : step + len(total), step : step + total.shape[1]]
    return total


def mini_search(
    db: np.ndarray, query: np.ndarray, lengths: Sequence[int], at: Sequence[int] = (1, 3, 10), metric: str = "dot"
) -> dict:
    """Exact search of every sequence of ``query`` (n, d) in ``db`` (n, d), where row i of one answers row i of the other.

    ``metric``: inner products (``dot``) or squared distances (``l2``), summed over the sequence. Returns for every length
    {"top1": fraction, ...} and "mean_rank" (from 0), averaged over all n - length + 1 sequences. It is what training
    validates with.
    """
    similarity = query @ db.T
    if metric == "l2":
        similarity = 2 * similarity - np.square(query).sum(axis=1)[:, None] - np.square(db).sum(axis=1)
    results = {}
    for length in lengths:
        scores = diagonal_sums(similarity, length)
        rank = (scores > np.diag(scores)[:, None]).sum(axis=1)
        results[length] = {f"top{k}": float((rank < k).mean()) for k in at} | {"mean_rank": float(rank.mean())}
    return results
