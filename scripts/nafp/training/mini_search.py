"""The search test of training: hit rates by exhaustive search, without an index."""

from collections.abc import Sequence

import numpy as np

TOP = 1, 3, 10  # ranks up to which the right candidate is a hit


def sequence_similarities(similarity: np.ndarray, length: int) -> np.ndarray:
    """(n, m) similarities of segments -> (n - length + 1, m - length + 1) those of sequences.

    Entry (i, j) is the sum of similarity[i + l, j + l] over l < length.
    """
    rows, columns = similarity.shape
    total = np.zeros((rows - length + 1, columns - length + 1), similarity.dtype)
    for step in range(length):
        total += similarity[step : step + len(total), step : step + total.shape[1]]
    return total


def mini_search(db: np.ndarray, query: np.ndarray, lengths: Sequence[int], metric: str = "dot") -> dict:
    """Exact search of every sequence of ``query`` (n, d) in ``db`` (n, d), where row i of one answers row i of the other.

    ``metric``: inner products (``dot``) or squared distances (``l2``), summed over the sequence. Returns for every length
    {"top1": fraction, ...} and "mean_rank" (from 0), averaged over all n - length + 1 sequences.

    Candidates tied with the right one could come in any order: a sequence counts as the share of the orders in which it is a
    hit, so one half for a tie of two at the top, and chance level if all fingerprints are equal. A NaN ranks above every
    number; if the right candidate's score is NaN, it is a miss, of the last rank.
    """
    similarity = query @ db.T
    if metric == "l2":
        similarity = 2 * similarity - np.square(query).sum(axis=1)[:, None] - np.square(db).sum(axis=1)
    results = {}
    for length in lengths:
        scores = sequence_similarities(similarity, length)
        right = np.diag(scores)[:, None]
        better = len(scores) - np.count_nonzero(scores <= right, axis=1)
        alike = np.count_nonzero(scores == right, axis=1)  # itself included; 0 for NaN
        hits = {f"top{k}": float(((k - better).clip(0, alike) / alike.clip(1)).mean()) for k in TOP}
        results[length] = hits | {"mean_rank": float((better + (alike - 1).clip(0) / 2).mean())}
    return results
