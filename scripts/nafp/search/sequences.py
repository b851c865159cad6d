"""Sequence search: nearest neighbours of every segment, offset compensation, candidate scores (paper 3.5).

All segments of all query sequences are searched in one call. Each neighbour proposes a place where the sequence may begin;
the score of a place is the mean inner product of the sequence with the uncompressed fingerprints there.
"""

import time
from collections.abc import Sequence

import faiss
import numpy as np
from tqdm import tqdm

from nafp.search.result import KEPT, Result
from nafp.search.types.base import RECALL_SEGMENTS, SearchableIndex
from nafp.search.vectors import NO_ROW, Database, single_threaded_workers

NEIGHBOURS = 20  # nearest fingerprints of each segment
EXACT_ROWS = 2**18  # rows of the database searched exhaustively at a time
MAX_PRODUCTS = 2**20  # inner products that a thread computes at a time


def search_sequences(
    index: SearchableIndex,
    database: Database,
    query: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    progress: bool = True,
    own: tuple[np.ndarray, np.ndarray] | None = None,
    partial_mean: bool = False,
    kept: int = KEPT,
    songs: np.ndarray | None = None,
    rates: Sequence[float] = (1.0,),
) -> list[Result]:
    """Search the sequences query[start : start + length] for every start and length: one Result a length.

    ``query``: (n, d). ``own``: first and last row of the database, (q,) each, of the song that a sequence is from; None if
    unknown. ``kept``: places for each sequence. Segments of a window past the end of the database or of ``query`` count
    as 0. ``partial_mean``: they are left out of the mean instead, as in the original's evaluation (protocol ``release``);
    the end of a database then matches any sequence with one segment that resembles its last one. ``songs``: (rows,) the song
    of each row of the database; with them, an answer lies inside one song. ``rates``: how many times as
    fast the query may be as the database; each is tried, and a place's score is the best of them.

    A candidate of a short sequence is also one of every longer sequence from the same start, and its inner products are the
    first ones there. So only the longest length is computed; the others are read from its partial sums.
    """
    longest, query = max(lengths), np.ascontiguousarray(query, np.float32)
    first, last = own if own is not None else np.full((2, len(starts)), NO_ROW)
    starts, one_each, asked = np.unique(starts, return_index=True, return_inverse=True)
    first, last = first[one_each], last[one_each]
    needed = np.unique(starts[:, None] + np.arange(longest))
    needed = needed[needed < len(query)]
    began = time.perf_counter()
    found = index.nearest(query[needed], min(NEIGHBOURS, len(database)))
    ms_per_segment = (time.perf_counter() - began) / len(needed) * 1e3
    neighbours = np.full((len(query), found.shape[1]), NO_ROW)
    neighbours[needed] = found

    began = time.perf_counter()
    chunk = max(1, MAX_PRODUCTS // (longest**2 * found.shape[1]))
    chunks = [slice(at, at + chunk) for at in range(0, len(starts), chunk)]

    def score(some: slice) -> list[tuple[np.ndarray, ...]]:
        return score_sequences(
            neighbours,
            database,
            query,
            starts[some],
            lengths,
            first=first[some],
            last=last[some],
            partial_mean=partial_mean,
            kept=kept,
            songs=songs,
            rates=rates,
        )

    with single_threaded_workers() as pool:
        bar = tqdm(pool.map(score, chunks), total=len(chunks), desc="scoring", unit="chunk", disable=not progress)
        best = list(bar)
    ms = (time.perf_counter() - began) / len(starts) * 1e3
    work = np.square(lengths) / np.square(lengths).sum()  # inner products: a sequence's segments times its candidates
    return [
        Result(
            n,
            *(np.concatenate(part)[asked] for part in zip(*of_length, strict=True)),
            ms * share + n * ms_per_segment,
            ms_per_segment,
        )
        for n, share, of_length in zip(lengths, work, zip(*best, strict=True), strict=True)
    ]


def exact_neighbours(database: Database, query: np.ndarray, k: int) -> np.ndarray:
    """(n, d) -> (n, k) rows of the database with the largest inner products, by exhaustive search in chunks."""
    query = np.ascontiguousarray(query, np.float32)
    best, ids = np.full((len(query), k), -np.inf, np.float32), np.full((len(query), k), NO_ROW)
    for first, vectors in database.chunks(EXACT_ROWS):
        found = faiss.knn(query, vectors, min(k, len(vectors)), faiss.METRIC_INNER_PRODUCT)
        best, ids = np.concatenate([best, found[0]], axis=1), np.concatenate([ids, found[1] + first], axis=1)
        order = np.argsort(-best, axis=1, kind="stable")[:, :k]
        best, ids = np.take_along_axis(best, order, axis=1), np.take_along_axis(ids, order, axis=1)
    return ids


def recall(index: SearchableIndex, database: Database, query: np.ndarray) -> dict[str, float]:
    """Share of the exact neighbours that the index finds, for at most RECALL_SEGMENTS evenly spaced query segments.

    ``nearest``: of the nearest neighbours, found first; ``neighbours``: of the NEIGHBOURS nearest, found at any rank.
    """
    chosen = query[np.unique(np.linspace(0, len(query) - 1, min(RECALL_SEGMENTS, len(query))).astype(int))]
    k = min(NEIGHBOURS, len(database))
    exact, found = exact_neighbours(database, chosen, k), index.nearest(chosen, k)
    both = (exact[:, :, None] == found[:, None, :]).any(axis=2)
    return {"nearest": float((exact[:, 0] == found[:, 0]).mean()), "neighbours": float(both.mean())}


def score_sequences(
    neighbours: np.ndarray,
    database: Database,
    query: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    first: np.ndarray,
    last: np.ndarray,
    partial_mean: bool,
    kept: int,
    songs: np.ndarray | None,
    rates: Sequence[float] = (1.0,),
) -> list[tuple[np.ndarray, ...]]:
    """place, score, other_place and other_score of a ``Result`` for every length, of the sequences at ``starts`` (q,).

    ``neighbours``: (n, k) rows of the database for each query segment, -1 for none. ``first``, ``last``: (q,) first and last
    row of the sequence's own song. The other options are those of ``search_sequences``.
    """
    at_rates = [
        scores_at_rate(rate, neighbours, database, query, starts, lengths, partial_mean=partial_mean, songs=songs)
        for rate in rates
    ]
    best = []
    for of_length in zip(*at_rates, strict=True):
        places, scores, ends = map(np.hstack, zip(*of_length, strict=True))
        elsewhere = (ends <= first[:, None]) | (places > last[:, None])
        others = keep_best(places, np.where(elsewhere, scores, -np.inf), 1)
        kept_places, kept_scores = keep_best(places, scores, kept * len(rates))
        if len(rates) > 1:
            repeated = np.tril(kept_places[:, :, None] == kept_places[:, None], -1).any(axis=2)
            kept_places, kept_scores = keep_best(kept_places, np.where(repeated, -np.inf, kept_scores), kept)
        best.append((kept_places, kept_scores, *(one[:, 0] for one in others)))
    return best


def scores_at_rate(
    rate: float,
    neighbours: np.ndarray,
    database: Database,
    query: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    partial_mean: bool,
    songs: np.ndarray | None,
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every length: places (q, c) where sequences may begin, their scores, and the rows behind their last ones.

    Each neighbour proposes a place: its row minus the rows that the database is on by then, ``rate`` times the position of its
    segment in the sequence, rounded (offset compensation). Where a sequence may not begin, and of places that are proposed
    twice, scores are -inf.
    """
    position = np.arange(max(lengths))
    on = np.floor(rate * position + 0.5).astype(np.int64)
    segment = starts[:, None] + position
    place = neighbours[np.minimum(segment, len(query) - 1)] - on[:, None]
    place[segment >= len(query)] = NO_ROW
    place = place.reshape(len(starts), -1)  # (q, c); the first n segments propose the first n * k columns
    if rate == 1:
        candidate, sums = candidate_sums(place, starts, lengths, database, query)
    else:
        candidate, sums = sums_on_lines(place, on, starts, lengths, database, query)
    inside = np.searchsorted(on, len(database) - place.take(candidate))  # segments that the database has rows for
    left = np.minimum(len(query) - starts[candidate // place.shape[1]], inside)
    found = []
    for n, total in zip(lengths, sums, strict=True):
        score = np.full(place.shape, -np.inf, np.float32)
        score.put(candidate, total / (np.minimum(n, left) if partial_mean else n))
        columns, rows = n * neighbours.shape[1], on[n - 1] + 1
        places, scores = place[:, :columns], score[:, :columns]
        if songs is not None:
            scores = np.where(inside_a_song(places, rows, songs), scores, -np.inf)
        found.append((places, scores, places + rows))
    return found


def inside_a_song(places: np.ndarray, length: int, songs: np.ndarray) -> np.ndarray:
    """Whether windows of ``length`` rows that begin at ``places`` lie inside one song; ``songs``: (rows,) of each row."""
    last = places + length - 1
    within = (places >= 0) & (last < len(songs))
    return within & (songs[np.where(within, places, 0)] == songs[np.where(within, last, 0)])


def candidate_sums(
    place: np.ndarray, starts: np.ndarray, lengths: Sequence[int], database: Database, query: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The candidates among the places (q, c), and the sum of inner products of each candidate's window with its sequence.

    Returns (m,) flat indices into ``place``, without -1 and without repetitions in a row, and (lengths, m) sums. Segments
    past the end of the query or of the database add nothing.

    Candidates with the same difference between row and query segment are on one diagonal of the similarity matrix, and
    share inner products where they overlap. Each product is computed once, in runs along the diagonals, and every sum is the
    difference of two running sums.
    """
    longest, (count, columns) = max(lengths), place.shape
    row, column = np.nonzero(place >= 0)
    key = (place[row, column] - starts[row] + len(query)) * count + row
    key, column = np.divmod(np.sort(key * columns + column), columns)
    first = np.append(True, key[1:] != key[:-1])[: len(key)]
    (diagonal, row), column = np.divmod(key[first], count), column[first]
    diagonal, begin = diagonal - len(query), starts[row]

    step = np.where(np.diff(diagonal, prepend=-len(query) - 1) == 0, np.diff(begin, prepend=0), longest)
    fresh = np.minimum(step, longest)  # segments not shared with the previous candidate
    end = np.cumsum(fresh)
    segment = np.arange(fresh.sum()) + np.repeat(begin + longest - end, fresh)
    dots = database.inner_products(query, segment, segment + np.repeat(diagonal, fresh))
    until = end - longest

    def window_sums(values: np.ndarray) -> np.ndarray:
        running = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        before = running[until]
        return np.stack([running[until + n] - before for n in lengths])

    sums = window_sums(dots)
    if np.isnan(sums).any():  # a NaN makes the running sums of all later candidates NaN
        lost = ~np.isfinite(dots)
        sums = np.where(window_sums(lost) > 0, np.nan, window_sums(np.where(lost, 0, dots)))
    return row * columns + column, sums


def sums_on_lines(
    place: np.ndarray, on: np.ndarray, starts: np.ndarray, lengths: Sequence[int], database: Database, query: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """``candidate_sums`` of windows whose segments are ``on`` (longest,) rows from their places, each product computed anew."""
    count, columns = place.shape
    row, column = np.nonzero(place >= 0)
    _, once = np.unique(place[row, column] * count + row, return_index=True)
    row, column = row[once], column[once]
    segments = starts[row, None] + np.arange(len(on))
    rows = place[row, column, None] + on
    dots = database.inner_products(query, segments.ravel(), rows.ravel()).reshape(rows.shape)
    return row * columns + column, dots.cumsum(axis=1, dtype=np.float64)[:, np.array(lengths) - 1].T


def keep_best(places: np.ndarray, scores: np.ndarray, count: int = KEPT) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` highest scores of each row and their places, best first; -1 and -inf for missing ones and NaN."""
    missing = ((0, 0), (0, max(count - scores.shape[1], 0)))
    places = np.pad(places, missing, constant_values=NO_ROW)
    scores = np.pad(np.where(np.isnan(scores), -np.inf, scores), missing, constant_values=-np.inf)
    kept = np.sort(np.argpartition(scores, -count, axis=1)[:, -count:], axis=1)  # ties keep their order
    best = np.take_along_axis(scores, kept, axis=1)
    order = np.argsort(-best, axis=1, kind="stable")
    best, kept = np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1)
    return np.where(np.isneginf(best), NO_ROW, np.take_along_axis(places, kept, axis=1)), best
