"""Which song is it, and from when to when: recordings of any length against a library.

A recording is searched in windows of at most LONGEST segments. A window is recognised if its best place scores well and
better than the best place in any other song. Neighbouring windows that agree on a song and on their place in it are one
interval, whose ends are then set segment by segment. Music repeats itself, so a window may match another bar of the right
song: intervals of a song are joined if they overlap, or lie at one place of it.

A library may hold a recording twice: as an MP3, as a radio edit, in a mix. Songs with similar scores whose landmarks show
that they are copies do not compete: the one with most windows is named, with its copies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE, SEGMENT, sequence_seconds
from nafp.identify.nearest import Exact
from nafp.identify.recordings import ALL_SILENT, SILENCE, Recording
from nafp.identify.windows import LONGEST, Catalogue, Limits, windows
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import Database

SAME_PLACE = 1  # segments by which windows of one song may differ in its place
MEMBERSHIP_RATIO = 0.7  # inner product of a segment of an interval, at least, relative to the interval's best score
COLUMNS = ("query", "from_s", "to_s", "song", "offset_s", "score", "runner_up", "margin", "copies", "note")


def intervals(found: pd.DataFrame, length: int, limits: Limits) -> list[pd.DataFrame]:
    """Runs of recognised windows that agree on the song and on their place in it."""
    sure = found[(found["score"] >= limits.min_score) & (found["score"] - found["runner_up"] >= limits.min_margin)]
    row_offset = sure["place"] - sure["start"]
    apart = sure["start"].diff() > length
    other = (sure["song"].diff() != 0) | (row_offset.diff().abs() > SAME_PLACE)
    runs = [rows for _, rows in sure.groupby((apart | other).cumsum())]
    return [rows for rows in runs if len(rows) >= min(limits.windows, len(found))]


@dataclass
class Interval:
    """Segments ``first`` to ``last`` belong to a song, at database rows ``row_offset`` higher; ``windows``: the evidence."""

    song: int
    first: int
    last: int
    row_offset: int
    windows: pd.DataFrame


def interval(found: pd.DataFrame, query: np.ndarray, catalogue: Catalogue, length: int) -> Interval:
    """An interval of a run of windows.

    Its ends are the outermost segments in the windows with at least MEMBERSHIP_RATIO of the best window's score, and adjacent
    segments beyond them that belong too. None is before or after the song.
    """
    best = found.loc[found["score"].idxmax()]
    song, row_offset = int(best["song"]), int(best["place"] - best["start"])
    rows = np.flatnonzero(catalogue.song_of_row == song)
    begin, end = found["start"].min(), found["start"].max() + length
    low, high = max(begin - length, 0, rows[0] - row_offset), min(end + length, len(query), rows[-1] + 1 - row_offset)
    segments = np.arange(low, high)
    own = catalogue.sounding.inner_products(query, segments, segments + row_offset)
    inside = (segments >= begin) & (segments < end)
    like = own >= min(MEMBERSHIP_RATIO * best["score"], own[inside].max())
    core, unlike = segments[like & inside], segments[~like]
    first = unlike[unlike < core[0]].max(initial=segments[0] - 1) + 1
    last = unlike[unlike > core[-1]].min(initial=segments[-1] + 1) - 1
    return Interval(song, int(first), int(last), row_offset, found)


def joined(parts: Sequence[Interval], query: np.ndarray, database: Database, first_row: np.ndarray) -> list[Interval]:
    """Intervals; those of one song that overlap or are at one place are joined, at the place that fits the whole better."""

    def fit(one: Interval, row_offset: int) -> float:
        segments = np.arange(one.first, one.last + 1)
        inside = segments + row_offset >= first_row[one.song]
        return np.where(inside, database.inner_products(query, segments, segments + row_offset), 0).mean()

    kept: list[Interval] = []
    for part in sorted(parts, key=lambda part: part.first):
        of_song = (one for one in reversed(kept) if one.song == part.song)
        near = (one for one in of_song if part.first <= one.last or abs(part.row_offset - one.row_offset) <= SAME_PLACE)
        if (one := next(near, None)) is None:
            kept.append(part)
            continue
        one.last, one.windows = max(one.last, part.last), pd.concat([one.windows, part.windows])
        one.row_offset = max(one.row_offset, part.row_offset, key=partial(fit, one))
        one.first = max(one.first, int(first_row[one.song]) - one.row_offset)
    return kept


def nearest(found: pd.DataFrame, names: Sequence[str], silent: np.ndarray) -> dict:
    """The score and the note of a recording that no interval was recognised in, by its windows."""
    best = found.loc[found["score"].idxmax()]
    if best["song"] >= 0:
        return {"score": best["score"], "note": f"no match; the nearest is {names[int(best['song'])]}"}
    return {"note": "no match; most of it is silence" if silent.any() else "no match"}


def identify(
    recording: Recording, catalogue: Catalogue, limits: Limits, index: SearchableIndex | None = None
) -> pd.DataFrame:
    """Recognised intervals of a recording, a row each, or one row with the reason why there are none.

    ``index``: of the catalogue's database; exact search without. Columns: query, from_s, to_s, song, offset_s (of from_s in
    the song), score, runner_up (the other song that comes next), margin, copies (names of the songs that are the same
    recording, as a tuple), note.
    """
    duration, query = recording.samples / SAMPLE_RATE, recording.fingerprints
    nothing = {"query": recording.name, "from_s": 0.0, "to_s": round(duration, 2), "copies": ()}

    def answer(*rows: dict) -> pd.DataFrame:
        notes = [[row["note"], recording.note] for row in rows]
        noted = [row | {"note": "; ".join(filter(None, note))} for row, note in zip(rows, notes, strict=True)]
        return pd.DataFrame(noted, columns=COLUMNS)

    if recording.samples < SEGMENT:
        return answer(nothing | {"note": f"shorter than 1 s ({duration:.2f} s)"})
    if recording.peak < SILENCE:
        return answer(nothing | {"note": ALL_SILENT})
    length, limits = min(LONGEST, len(query)), limits.of(np.count_nonzero(~recording.silent))
    found = windows(query, index or Exact(catalogue.database), catalogue, limits, recording.silent)
    parts = [interval(part, query, catalogue, length) for part in intervals(found, length, limits)]
    names, first_row, rows = catalogue.names, catalogue.first_row, []
    for part in joined(parts, query, catalogue.sounding, first_row):
        best = part.windows.loc[part.windows["score"].idxmax()]
        copies = frozenset().union(*part.windows["copies"]) if "copies" in part.windows else ()
        rows.append(
            {
                "query": recording.name,
                "from_s": part.first * HOP / SAMPLE_RATE,
                "to_s": round(min(sequence_seconds(part.last + 1), duration), 2),
                "song": names[part.song],
                "offset_s": (part.first + part.row_offset - first_row[part.song]) * HOP / SAMPLE_RATE,
                "score": part.windows["score"].mean(),
                "runner_up": names[int(best["other"])] if best["other"] >= 0 else "",
                "margin": (part.windows["score"] - part.windows["runner_up"]).mean(),
                "copies": tuple(names[song] for song in sorted(copies)),
                "note": "",
            }
        )
    if not rows:
        rows = [nothing | nearest(found, names, recording.silent)]
    return answer(*rows)
