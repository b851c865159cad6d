"""Windows of a recording, and the song that each is most like: the first half of `nafp.identify.recognise`."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import combinations

import numpy as np
import pandas as pd

from nafp.audio.landmarks import similar
from nafp.identify.nearest import Exact, Sounding, Without
from nafp.identify.options import Options
from nafp.search.sequences import NEIGHBOURS, search_sequences
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import NO_ROW, Database

LONGEST = 9  # segments of a window: 5 s, long enough to be sure, short enough to find where a song begins
WINDOWS = 2**14  # windows searched at a time: 2.3 hours
PLACES = 30  # best places kept of a window, so that a chorus in several copies of a song does not hide the next song
CROWD = NEIGHBOURS // 2  # close places from which on a song and its copies may hide other songs
COPIES_WITHIN = 0.1  # largest difference between the scores of copies, if ``min_margin`` is not larger

# Windows and songs to pass over -> places and scores
Search = Callable[[np.ndarray, frozenset[int]], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Limits:
    """When a recording counts as recognised.

    ``min_score``: mean inner product of a window, silence excepted; ``min_margin``: its difference to the best other song;
    ``windows``: number that must agree, if the recording has as many. The default of ``min_score`` fits no particular model;
    ``nafp.identify.calibration`` learns that of a model. ``by_segments``: (segments, ``min_score``) of recordings of other
    lengths, the shortest first; () if there is one for all.
    """

    min_score: float = 0.5
    min_margin: float = Options.min_margin
    windows: int = Options.windows
    by_segments: tuple[tuple[int, float], ...] = ()

    def of(self, segments: int) -> "Limits":
        """The limits of a recording of so many segments: of the known lengths next to it, that with the higher score."""
        if not self.by_segments:
            return self
        lengths, scores = zip(*self.by_segments, strict=True)
        below, above = bisect_right(lengths, segments) - 1, bisect_left(lengths, segments)
        return replace(self, min_score=max(scores[max(below, 0)], scores[min(above, len(scores) - 1)]))


@dataclass(frozen=True)
class Catalogue:
    """The songs of a library, as they are searched.

    ``database``: their fingerprints; ``names``, ``first_row``: of each song, the row of its first fingerprint;
    ``song_of_row``: (rows,), -1 where a song was deleted; ``marks``: gives a song's landmarks (``nafp.audio.landmarks``), which
    identify copies; without it no songs count as copies; ``silent``: (rows,) bool, those without sound, None for none.
    """

    database: Database
    names: Sequence[str]
    first_row: np.ndarray
    song_of_row: np.ndarray
    marks: Callable[[int], np.ndarray] | None = None
    silent: np.ndarray | None = None
    _known: dict[tuple[int, int], bool] = field(default_factory=dict)

    @cached_property
    def sounding(self) -> Sounding:
        """The database, in which silence is like nothing."""
        silent = np.zeros(len(self.song_of_row), bool) if self.silent is None else self.silent
        return Sounding(self.database.dummy, self.database.db, silent)

    def hidden(self, songs: Iterable[int] = ()) -> np.ndarray:
        """(rows,) bool: the rows that are no neighbours of anything: those of some songs, of deleted ones, and silent ones."""
        return np.isin(self.song_of_row, [-1, *songs]) | self.sounding.silent

    def are_copies(self, a: int, b: int) -> bool:
        """Whether two songs are the same recording, or one contains a part of the other."""
        if self.marks is None:
            return False
        pair = min(a, b), max(a, b)
        if pair not in self._known:
            self._known[pair] = len(similar([self.marks(song) for song in pair])) > 0
        return self._known[pair]


def windows(
    query: np.ndarray,
    index: SearchableIndex | Exact,
    catalogue: Catalogue,
    limits: Limits,
    silent: np.ndarray | None = None,
    longest: int = LONGEST,
) -> pd.DataFrame:
    """Search every window of a recording's fingerprints (n, d), one row each.

    ``silent``: (n,) bool, the segments without sound, which resemble the silence in any song: they do not count, and windows
    with more of them than others have no place. ``longest``: segments of a window, at most.

    Columns: start (segment), song (in the middle of the best place, -1 for none), place (its row), score, other (song of
    the runner-up, -1 where all places that were kept are of one song and its copies), runner_up (its score, at most that of
    the last place; 0 if no other song has a place), copies (numbers of the songs that score alike and are copies of this one).
    Where a song that repeats itself takes the places, they are searched again without it.
    """
    length = min(longest, len(query))
    silent = np.zeros(len(query), bool) if silent is None else silent
    tables = []
    for first in range(0, len(query) - length + 1, WINDOWS):
        some = slice(first, first + WINDOWS + length - 1)
        search = partial(best_places, query[some], silent[some], length, index, catalogue)
        found = searched(search, len(query[some]) - length + 1, length, catalogue, limits)
        tables.append(found.assign(start=first + found.index))
    return pd.concat(tables, ignore_index=True)


def searched(search: Search, count: int, length: int, catalogue: Catalogue, limits: Limits) -> pd.DataFrame:
    """The rows of ``windows``, without start, of the first ``count`` windows.

    Windows whose places a song and its copies take are searched again without these, until others have places too.
    """
    place, score = search(np.arange(count), frozenset())
    found = best_songs(place, score, length, catalogue, limits)
    passed_over, again = dict.fromkeys(range(count), frozenset()), set()
    while passed_over := crowded(found, place, score, passed_over, length, catalogue, limits):
        more, scores = search_without(search, passed_over, count)
        place, score = np.hstack([place, more]), np.hstack([score, scores])
        found = best_songs(place, score, length, catalogue, limits)
        again |= passed_over.keys()
    found.loc[found.index.isin(again) & (found["other"] < 0), "runner_up"] = 0.0
    return found


def search_without(
    search: Search, passed_over: Mapping[int, frozenset[int]], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Places (count, PLACES) of some windows outside the songs that each passes over, and their scores; none of the others."""
    place, score = np.full((count, PLACES), NO_ROW), np.full((count, PLACES), -np.inf)
    windows_by_songs: dict[frozenset[int], list[int]] = {}
    for window, songs in passed_over.items():
        windows_by_songs.setdefault(songs, []).append(window)
    for songs, some in windows_by_songs.items():
        place[some], score[some] = search(np.array(some), songs)
    return place, score


def crowded(
    found: pd.DataFrame,
    place: np.ndarray,
    score: np.ndarray,
    passed_over: Mapping[int, frozenset[int]],
    length: int,
    catalogue: Catalogue,
    limits: Limits,
) -> dict[int, frozenset[int]]:
    """The windows to search again, and the songs to pass over: those that may keep others from having a place.

    ``found``: the rows of ``best_songs`` for the places (q, places) and their scores; ``passed_over``: the windows of the last
    search, and the songs that it passed over.
    """
    song, again = songs_at(place, length, catalogue), {}
    close = score >= (found["score"].to_numpy() - max(COPIES_WITHIN, limits.min_margin))[:, None]
    last = slice(-PLACES, None)  # places of the last search
    could_be = found["score"] >= limits.min_score
    for window in found[could_be & found.index.isin(passed_over)].itertuples():
        here, before = song[window.Index], passed_over[window.Index]
        crowd = window.copies | {window.song} if window.other >= 0 else frozenset(here.tolist()) - {-1}
        taken = np.isin(here[last][close[window.Index, last]], list(crowd)).sum()
        rival_unknown = window.other < 0 and window.score - window.runner_up < limits.min_margin
        if not crowd <= before and (taken >= CROWD or rival_unknown):
            again[window.Index] = crowd | before
    return again


def best_places(
    query: np.ndarray,
    silent: np.ndarray,
    length: int,
    index: SearchableIndex | Exact,
    catalogue: Catalogue,
    starts: np.ndarray,
    without: Iterable[int],
) -> tuple[np.ndarray, np.ndarray]:
    """The best places (q, PLACES) of windows, best first, and their scores; no neighbours in some songs."""
    seen = Without(index, catalogue.hidden(without))
    heard = np.where(silent[:, None], 0, query)
    (result,) = search_sequences(seen, catalogue.sounding, heard, starts, [length], progress=False, kept=PLACES)
    counted = np.convolve(~silent, np.ones(length, int), "valid")[starts, None]
    return result.place, np.where(2 * counted >= length, result.score * (length / np.maximum(counted, 1)), -np.inf)


def songs_at(place: np.ndarray, length: int, catalogue: Catalogue) -> np.ndarray:
    """The songs in the middle of windows, since a window begins before its song where the song begins; -1 for none."""
    owner = catalogue.song_of_row
    return np.where(place >= 0, owner[np.minimum(place + length // 2, len(owner) - 1)], -1)


def best_songs(place: np.ndarray, score: np.ndarray, length: int, catalogue: Catalogue, limits: Limits) -> pd.DataFrame:
    """The rows of ``windows``, without start, from places of each window and their scores (q, places)."""
    song, each = songs_at(place, length, catalogue), np.arange(len(place))
    score = np.where(song >= 0, score, -np.inf)
    named = song[each, score.argmax(axis=1)]
    same, copies = song == named[:, None], [frozenset()] * len(place)
    if pairs := close_copies(song, score, catalogue, limits):
        named, same, copies = name_copies(song, score, named, pairs, limits)
    best = np.where(song == named[:, None], score, -np.inf).argmax(axis=1)
    rivals = np.where(same, -np.inf, score)
    second = rivals.argmax(axis=1)
    runner_up = rivals[each, second]
    lowest = np.where(np.isfinite(score), score, np.inf).min(axis=1)
    return pd.DataFrame(
        {
            "song": np.where(np.isfinite(score[each, best]), named, -1),
            "place": place[each, best],
            "score": score[each, best],
            "other": np.where(np.isfinite(runner_up), song[each, second], -1),
            "runner_up": np.where(np.isfinite(runner_up), runner_up, lowest),
            "copies": copies,
        }
    )


def name_copies(
    song: np.ndarray, score: np.ndarray, named: np.ndarray, pairs: set[tuple[int, int]], limits: Limits
) -> tuple[np.ndarray, np.ndarray, list[frozenset[int]]]:
    """The best song of each window (q,), or the copy of it that most windows support, so that a recording gets one name.

    ``song``, ``score``: (q, places); ``pairs``: the copies (``close_copies``). Returns the songs (q,), which places are of
    them or of copies of them (q, places), and the copies that score alike.
    """
    partners = {one: {b if one == a else a for a, b in pairs if one in (a, b)} for one in set(sum(pairs, ()))}
    near = score >= np.maximum(limits.min_score, score.max(axis=1) - max(COPIES_WITHIN, limits.min_margin))[:, None]
    support = {one: round(float(score[near & (song == one)].sum()), 3) for one in partners}
    named, same, copies = named.copy(), song == named[:, None], [frozenset()] * len(song)
    for row in np.flatnonzero(near.any(axis=1) & np.isin(named, list(partners))):
        alike, best = set(song[row][near[row]].tolist()), int(named[row])
        named[row] = one = max({best} | partners[best] & alike, key=lambda one: (support[one], -one))
        same[row] = np.isin(song[row], [one, *partners[one]])
        copies[row] = frozenset(partners[one] & alike)
    return named, same, copies


def close_copies(song: np.ndarray, score: np.ndarray, catalogue: Catalogue, limits: Limits) -> set[tuple[int, int]]:
    """Pairs of copies (smaller number first) that would keep each other from being recognised.

    ``song``, ``score``: (q, places). Candidates are songs with similar scores in as many windows as must agree.
    """
    counts = Counter()
    top = score.max(axis=1)
    for row in np.flatnonzero(top >= limits.min_score):
        near = np.unique(song[row][score[row] >= top[row] - max(COPIES_WITHIN, limits.min_margin)])
        counts.update(combinations(near.tolist(), 2))
    least = min(limits.windows, len(song))
    return {pair for pair, count in counts.items() if count >= least and catalogue.are_copies(*pair)}
