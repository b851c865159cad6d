"""Search with fingerprints of another hop or length than ours.

Sequences have the same seconds, and answers are put on the rows of half a second by which all methods are judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from nafp.audio.segments import HOP, SAMPLE_RATE, clips_at, count_segments, first_segments, sequence_seconds
from nafp.evaluation.answered import rows_at
from nafp.evaluation.hits import first_and_last_rows
from nafp.evaluation.protocol import PROTOCOLS
from nafp.search.external import TOLERANCE, Grid
from nafp.search.result import KEPT, Result
from nafp.search.sequences import search_sequences
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import Database

MOST_KEPT = 100  # places of a sequence, of which the best of each row is taken


def search_on_grid(
    index: SearchableIndex,
    database: Database,
    query: np.ndarray,
    grid: Grid,
    songs: np.ndarray,
    clips: np.ndarray,
    starts: np.ndarray,
    lengths: Sequence[int],
    truth: np.ndarray,
    protocol: str = "clip",
    rates: Sequence[float] = (1.0,),
) -> list[Result]:
    """Search the sequences that begin at segments ``starts`` (q,) of the query clips: one `Result` a length, on our rows.

    ``songs``, ``clips``: samples of each song of the database and of each query clip; ``truth``: (q,) the right row of
    ours for each sequence; ``lengths``: in segments of ours. A sequence has the fingerprints that lie inside its seconds; if
    there is none, it has no answer. A length at which no sequence has one took no time that could be stated: ``ms`` and
    ``ms_per_segment`` are NaN.
    """
    rows, asked = SongsOnGrid.of(grid, songs), SequencesOnGrid.of(grid, clips, starts, lengths)
    songs_asked = clips_at(truth, rows.segments)
    found = [no_answers(len(starts), length) for length in lengths]
    for group in np.unique(asked.counts, axis=0):
        which = np.flatnonzero((asked.counts == group).all(axis=1))
        wanted = np.unique(group[group > 0]).tolist()
        if not wanted:
            continue
        results = search_sequences(
            index,
            database,
            query,
            asked.begin[which],
            wanted,
            own=first_and_last_rows(rows.song_of_row, songs_asked[which]),
            kept=min(KEPT * ceil(max(0.5 / grid.hop_s, 1)), MOST_KEPT),
            songs=rows.song_of_row if PROTOCOLS[protocol].within_song else None,
            rates=rates,
        )
        of_count = dict(zip(wanted, results, strict=True))
        for i, count in enumerate(group.tolist()):
            if count:
                on_ours = rows.on_our_rows(of_count[count], asked.lead_s[which], truth[which])
                found[i] = with_answers(found[i], which, on_ours)
    return found


@dataclass(frozen=True)
class SequencesOnGrid:
    """Fingerprints of a grid that lie inside q sequences.

    ``begin``: (q,) the first one, counted through all query clips; ``counts``: (q, lengths) how many; ``lead_s``: (q,) seconds
    from the beginning of the sequence to that of the first one.
    """

    begin: np.ndarray
    counts: np.ndarray
    lead_s: np.ndarray

    @classmethod
    def of(cls, grid: Grid, clips: np.ndarray, starts: np.ndarray, lengths: Sequence[int]) -> "SequencesOnGrid":
        ours, of_clips = count_segments(clips), fingerprints_of(grid, clips)
        clip = clips_at(starts, ours)
        start_s = (starts - first_segments(ours)[clip]) * HOP / SAMPLE_RATE
        skipped = np.ceil(start_s / grid.hop_s - TOLERANCE).astype(np.int64)  # fingerprints that begin earlier
        lead_s = skipped * grid.hop_s - start_s
        inside_s = sequence_seconds(np.array(lengths)) - lead_s[:, None] - grid.segment_s
        counts = np.floor(inside_s / grid.hop_s + TOLERANCE).astype(np.int64) + 1
        counts = np.clip(counts, 0, (of_clips[clip] - skipped)[:, None])
        return cls(first_segments(of_clips)[clip] + skipped, counts, lead_s)


@dataclass(frozen=True)
class SongsOnGrid:
    """Fingerprints of the songs: ``song_of_row`` (rows,) the song of each, ``first`` (songs,) the first of each song;
    ``segments``: (songs,) how many rows of ours each song has."""

    grid: Grid
    song_of_row: np.ndarray
    first: np.ndarray
    segments: np.ndarray

    @classmethod
    def of(cls, grid: Grid, songs: np.ndarray) -> "SongsOnGrid":
        counts = fingerprints_of(grid, songs)
        return cls(grid, np.repeat(np.arange(len(songs)), counts), first_segments(counts), count_segments(songs))

    def on_our_rows(self, found: Result, lead_s: np.ndarray, truth: np.ndarray) -> Result:
        """What was found for q sequences, on our rows; of each row the best place alone. ``lead_s``: see `SequencesOnGrid`."""
        places = self.our_rows(found.place, lead_s[:, None], truth[:, None])
        place, score = first_of_each_row(places, found.score, KEPT)
        return replace(found, place=place, score=score, other_place=self.our_rows(found.other_place, lead_s, truth))

    def our_rows(self, places: np.ndarray, lead_s: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Our rows where sequences begin whose first fingerprints are at ``places``, -1 for none."""
        song = np.where(places >= 0, self.song_of_row[places], -1)
        return rows_at(song, (places - self.first[song]) * self.grid.hop_s - lead_s, self.segments, truth)


def fingerprints_of(grid: Grid, samples: np.ndarray) -> np.ndarray:
    """(n,) samples of clips -> (n,) numbers of their fingerprints."""
    return np.array(list(map(grid.count, samples)))


def no_answers(queries: int, length: int) -> Result:
    """No answers to so many sequences, which took no time that could be stated."""
    places, scores = np.full((queries, KEPT), -1), np.full((queries, KEPT), -np.inf, np.float32)
    return Result(length, places, scores, places[:, 0].copy(), scores[:, 0].copy(), ms=np.nan)


def with_answers(found: Result, which: np.ndarray, some: Result) -> Result:
    """``found`` with the answers to ``which`` of its sequences, ``some``, written into its arrays, and with their time."""
    for name in ("place", "score", "other_place", "other_score"):
        getattr(found, name)[which] = getattr(some, name)
    ms = np.nan_to_num(found.ms) + some.ms * len(which) / len(found.place)
    return replace(found, ms=ms, ms_per_segment=some.ms_per_segment)


def first_of_each_row(place: np.ndarray, score: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """(q, n) rows, best first, and their scores -> (q, kept) of each row the best one alone; -1 and -inf for what is missing."""
    order = np.argsort(place, axis=1, kind="stable")  # equal rows side by side, the best one first
    ordered = np.take_along_axis(place, order, axis=1)
    again = np.zeros_like(place, bool)
    np.put_along_axis(again, order, np.diff(ordered, axis=1, prepend=-2) == 0, axis=1)
    again |= place < 0
    front = np.argsort(again, axis=1, kind="stable")[:, :kept]
    missing = np.take_along_axis(again, front, axis=1)
    place, score = (np.take_along_axis(one, front, axis=1) for one in (place, score))
    return np.where(missing, -1, place), np.where(missing, -np.inf, score).astype(np.float32)
