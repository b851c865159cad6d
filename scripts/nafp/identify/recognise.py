"""Which song is it, and from when to when: recordings of any length against a library.

A recording is searched in windows of at most LONGEST segments. A window is recognised if its best place scores well and
better than the best place in any other song. Neighbouring windows that agree on a song and on where it lies in it are one
interval, whose ends are then set by the segments themselves. Music repeats itself, so that windows may take one bar for
another: intervals of a song that overlap are one, and so are those that lie at one place of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from nafp.data.layout import HOP, SAMPLE_RATE, SEGMENT
from nafp.search.index import Index
from nafp.search.sequences import exact_neighbours, search_sequences
from nafp.search.vectors import Database

LONGEST = 9  # segments of a window: 5 s, long enough to be sure, short enough to find where a song begins
SAME_PLACE = 1  # segments by which windows of one song may disagree on where it lies
LIKE = 0.7  # times the score of an interval's best window: from this inner product on, a segment belongs to it
SILENCE = 10 ** (-60 / 20)  # peak, of full scale
COLUMNS = ("query", "from_s", "to_s", "song", "offset_s", "score", "runner_up", "margin", "note")


@dataclass(frozen=True)
class Limits:
    """When a recording counts as recognised.

    ``min_score``: mean inner product of a window; ``min_margin``: by how much it beats the best other song; ``windows``
    that must agree, if the recording has as many. With these, a model trained for half an hour on 200 songs recognised 39
    of 40 noisy recordings of 30 s among 96 songs, none wrongly, and nothing in 20 recordings of other songs.
    """

    min_score: float = 0.5
    min_margin: float = 0.1
    windows: int = 3


class Exact:
    """Exhaustive search of a database, without an index of its own."""

    def __init__(self, database: Database):
        self.database = database

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) rows."""
        return exact_neighbours(self.database, query, k)


def windows(query: np.ndarray, index: Index | Exact, database: Database, song_of_row: np.ndarray) -> pd.DataFrame:
    """Search every window of a recording's fingerprints (n, d), one row each.

    Columns: start (segment), song (in the middle of the best place, -1 for none), place (its row), score, other (song of
    the runner-up, -1 where all places that were kept are of one song), runner_up (its score, at most that of the last
    place).
    """
    length = min(LONGEST, len(query))
    starts = np.arange(len(query) - length + 1)
    (result,) = search_sequences(index, database, query, starts, [length], progress=False)
    middle = np.minimum(
        result.place + length // 2, len(song_of_row) - 1
    )  # where a song begins, a window begins before it
    song = np.where(result.place >= 0, song_of_row[middle], -1)
    score = np.where(song >= 0, result.score, -np.inf)
    best = score.argmax(axis=1)
    each = np.arange(len(starts))
    rivals = np.where(song != song[each, best][:, None], score, -np.inf)
    second = rivals.argmax(axis=1)
    runner_up = rivals[each, second]
    return pd.DataFrame(
        {
            "start": starts,
            "song": np.where(np.isfinite(score[each, best]), song[each, best], -1),
            "place": result.place[each, best],
            "score": score[each, best],
            "other": np.where(np.isfinite(runner_up), song[each, second], -1),
            "runner_up": np.where(
                np.isfinite(runner_up), runner_up, np.where(np.isfinite(score), score, np.inf).min(axis=1)
            ),
        }
    )


def intervals(found: pd.DataFrame, length: int, limits: Limits) -> list[pd.DataFrame]:
    """Runs of recognised windows that agree on the song and on where it lies in it."""
    sure = found[(found["score"] >= limits.min_score) & (found["score"] - found["runner_up"] >= limits.min_margin)]
    lies = sure["place"] - sure["start"]
    apart = sure["start"].diff() > length
    other = (sure["song"].diff() != 0) | (lies.diff().abs() > SAME_PLACE)
    runs = [rows for _, rows in sure.groupby((apart | other).cumsum())]
    return [rows for rows in runs if len(rows) >= min(limits.windows, len(found))]


@dataclass
class Interval:
    """Segments ``first`` to ``last`` are of a song; their rows in the database are ``lies`` further. ``windows``: that say so."""

    song: int
    first: int
    last: int
    lies: int
    windows: pd.DataFrame


def interval(
    found: pd.DataFrame, query: np.ndarray, database: Database, song_of_row: np.ndarray, length: int
) -> Interval:
    """An interval of a run of windows.

    Its ends are the outermost segments in the windows that are LIKE the best window, and those beyond that follow without
    interruption. None lies before or behind the song.
    """
    best = found.loc[found["score"].idxmax()]
    song, lies = int(best["song"]), int(best["place"] - best["start"])
    rows = np.flatnonzero(song_of_row == song)
    begin, end = found["start"].min(), found["start"].max() + length
    segments = np.arange(max(begin - length, 0, rows[0] - lies), min(end + length, len(query), rows[-1] + 1 - lies))
    own = database.inner_products(query, segments, segments + lies)
    inside = (segments >= begin) & (segments < end)
    like = own >= min(LIKE * best["score"], own[inside].max())
    core, unlike = segments[like & inside], segments[~like]
    first = unlike[unlike < core[0]].max(initial=segments[0] - 1) + 1
    last = unlike[unlike > core[-1]].min(initial=segments[-1] + 1) - 1
    return Interval(song, int(first), int(last), lies, found)


def joined(parts: Sequence[Interval], query: np.ndarray, database: Database) -> list[Interval]:
    """Intervals, those of one song joined that overlap or lie at one place; the place is that which fits the whole better."""

    def fit(segments: np.ndarray, lies: int) -> float:
        return database.inner_products(query, segments, segments + lies).mean()

    kept: list[Interval] = []
    for part in sorted(parts, key=lambda part: part.first):
        of_song = (one for one in reversed(kept) if one.song == part.song)
        near = (one for one in of_song if part.first <= one.last or abs(part.lies - one.lies) <= SAME_PLACE)
        if (one := next(near, None)) is None:
            kept.append(part)
            continue
        one.last, one.windows = max(one.last, part.last), pd.concat([one.windows, part.windows])
        segments = np.arange(one.first, one.last + 1)
        one.lies = max(one.lies, part.lies, key=lambda lies: fit(segments, lies))
    return kept


def identify(
    name: str,
    samples: np.ndarray,
    query: np.ndarray,
    database: Database,
    songs: Sequence[str],
    first_row: np.ndarray,
    song_of_row: np.ndarray,
    limits: Limits,
    index: Index | None = None,
) -> pd.DataFrame:
    """What is recognised in one recording: a row an interval, or one that says why there is none.

    ``samples``: (T,) int16; ``query``: (n, d) its fingerprints; ``songs``, ``first_row``: names and first database rows;
    ``song_of_row``: (rows,); ``index``: of the database, exact search without. Columns: query, from_s, to_s, song, offset_s
    (of from_s in the song), score, runner_up (the other song that comes next), margin, note.
    """
    duration = len(samples) / SAMPLE_RATE
    nothing = {"query": name, "from_s": 0.0, "to_s": round(duration, 2)}
    if len(samples) < SEGMENT:
        return pd.DataFrame([nothing | {"note": f"shorter than 1 s ({duration:.2f} s)"}], columns=COLUMNS)
    if np.abs(samples.astype(np.int32)).max() < SILENCE * 32768:
        return pd.DataFrame([nothing | {"note": "silence"}], columns=COLUMNS)
    length = min(LONGEST, len(query))
    found = windows(query, index or Exact(database), database, song_of_row)
    parts = [interval(part, query, database, song_of_row, length) for part in intervals(found, length, limits)]
    rows = []
    for part in joined(parts, query, database):
        best = part.windows.loc[part.windows["score"].idxmax()]
        rows.append(
            {
                "query": name,
                "from_s": part.first * HOP / SAMPLE_RATE,
                "to_s": round(min((part.last * HOP + SEGMENT) / SAMPLE_RATE, duration), 2),
                "song": songs[part.song],
                "offset_s": (part.first + part.lies - first_row[part.song]) * HOP / SAMPLE_RATE,
                "score": part.windows["score"].mean(),
                "runner_up": songs[int(best["other"])] if best["other"] >= 0 else "",
                "margin": (part.windows["score"] - part.windows["runner_up"]).mean(),
                "note": "",
            }
        )
    if not rows:
        best = found.loc[found["score"].idxmax()]
        near = "" if best["song"] < 0 else f"; the nearest is {songs[int(best['song'])]}"
        rows = [nothing | {"score": best["score"], "note": f"no match{near}"}]
    return pd.DataFrame(rows, columns=COLUMNS)
