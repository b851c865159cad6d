"""Search with fingerprints of another hop or length than ours.

Sequences have the same seconds, and answers are put on the rows of half a second by which all methods are judged. Planning
reads this file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from nafp.audio.segments import HOP, SAMPLE_RATE, clips_at, first_segments, sequence_seconds
from nafp.errors import UserError
from nafp.evaluation.protocol import PROTOCOLS
from nafp.search.external import OURS, TOLERANCE, Grid

if TYPE_CHECKING:
    import numpy as np

    from nafp.search.sequences import Result
    from nafp.search.types.base import SearchableIndex
    from nafp.search.vectors import Database

MOST_KEPT = 100  # places of a sequence, of which the best of each row is taken


def check_protocol(grid: Grid, protocol: str) -> None:
    """Refuse a protocol whose sequences run across clips, which has no meaning in seconds."""
    if grid != OURS and not PROTOCOLS[protocol].within_clip:
        raise UserError(
            f"search.protocol: {protocol} counts segments of 1 s, every 0.5 s, and does not go with fingerprints of {grid}; "
            "use clip"
        )


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
    import numpy as np

    from nafp.audio.segments import count_segments
    from nafp.evaluation.answered import rows_at
    from nafp.evaluation.hits import rows_of
    from nafp.search.sequences import KEPT, Result, search_sequences

    of_songs, of_clips = (np.array(list(map(grid.count, samples))) for samples in (songs, clips))
    song_of_row, first = np.repeat(np.arange(len(songs)), of_songs), first_segments(of_songs)
    ours, segments = count_segments(clips), count_segments(songs)
    asked = clips_at(truth, segments)
    clip = clips_at(starts, ours)
    start_s = (starts - first_segments(ours)[clip]) * HOP / SAMPLE_RATE
    skipped = np.ceil(start_s / grid.hop_s - TOLERANCE).astype(np.int64)  # fingerprints of the clip that begin earlier
    lead_s = skipped * grid.hop_s - start_s
    inside_s = sequence_seconds(np.array(lengths)) - lead_s[:, None] - grid.segment_s
    counts = np.floor(inside_s / grid.hop_s + TOLERANCE).astype(np.int64) + 1
    counts = np.clip(counts, 0, (of_clips[clip] - skipped)[:, None])  # (q, lengths)
    kept = min(KEPT * ceil(max(0.5 / grid.hop_s, 1)), MOST_KEPT)

    def on_our_rows(places: np.ndarray, lead: np.ndarray, right: np.ndarray) -> np.ndarray:
        song = np.where(places >= 0, song_of_row[places], -1)
        return rows_at(song, (places - first[song]) * grid.hop_s - lead, segments, right)

    def nothing(length: int) -> Result:
        shape = len(starts), KEPT
        places, scores = np.full(shape, -1), np.full(shape, -np.inf, np.float32)
        return Result(length, places, scores, places[:, 0].copy(), scores[:, 0].copy(), np.nan, np.nan)

    found = [nothing(length) for length in lengths]
    for group in np.unique(counts, axis=0):
        which = np.flatnonzero((counts == group).all(axis=1))
        wanted = np.unique(group[group > 0]).tolist()
        if not wanted:
            continue
        begin = first_segments(of_clips)[clip[which]] + skipped[which]
        how = {"own": rows_of(song_of_row, asked[which]), "kept": kept, "rates": rates}
        how["songs"] = song_of_row if PROTOCOLS[protocol].within_song else None
        results = dict(zip(wanted, search_sequences(index, database, query, begin, wanted, **how), strict=True))
        for i, one in ((i, results[count]) for i, count in enumerate(group.tolist()) if count):
            best = first_of_each_row(on_our_rows(one.place, lead_s[which, None], truth[which, None]), one.score, KEPT)
            found[i].place[which], found[i].score[which] = best
            found[i].other_place[which] = on_our_rows(one.other_place, lead_s[which], truth[which])
            found[i].other_score[which] = one.other_score
            ms = np.nan_to_num(found[i].ms) + one.ms * len(which) / len(starts)
            found[i] = replace(found[i], ms=ms, ms_per_segment=one.ms_per_segment)
    return found


def first_of_each_row(place: np.ndarray, score: np.ndarray, kept: int) -> tuple[np.ndarray, np.ndarray]:
    """(q, n) rows, best first, and their scores -> (q, kept) of each row the best one alone; -1 and -inf for what is missing."""
    import numpy as np

    order = np.argsort(place, axis=1, kind="stable")  # equal rows side by side, the best one first
    ordered = np.take_along_axis(place, order, axis=1)
    again = np.zeros_like(place, bool)
    np.put_along_axis(again, order, np.diff(ordered, axis=1, prepend=-2) == 0, axis=1)
    again |= place < 0
    front = np.argsort(again, axis=1, kind="stable")[:, :kept]
    missing = np.take_along_axis(again, front, axis=1)
    place, score = (np.take_along_axis(one, front, axis=1) for one in (place, score))
    return np.where(missing, -1, place), np.where(missing, -np.inf, score).astype(np.float32)
