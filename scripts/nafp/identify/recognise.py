"""Which song is it, and from when to when: recordings of any length against a library.

A recording is searched in windows of at most LONGEST segments. A window is recognised if its best place scores well and
better than the best place in any other song. Neighbouring windows that agree on a song and on where it lies in it are one
interval, whose ends are then set by the segments themselves.
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


def ends(
    rows: pd.DataFrame, query: np.ndarray, database: Database, length: int, limits: Limits
) -> tuple[int, int, int]:
    """First and last segment of an interval, and how far from the segment its row in the database lies.

    From the windows inwards, the ends are the first segments that sound like the song itself.
    """
    lies = int((rows["place"] - rows["start"]).mode().iloc[0])
    segments = np.arange(rows["start"].min(), rows["start"].max() + length)
    places = segments + lies
    own = database.inner_products(query, segments, places)
    like = np.flatnonzero(own >= limits.min_score)
    first, last = (like[0], like[-1]) if len(like) else (0, -1)
    return int(segments[first]), int(segments[last]), lies


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
    rows = []
    for part in intervals(found, length, limits):
        first, last, lies = ends(part, query, database, length, limits)
        best = part.loc[part["score"].idxmax()]
        song = int(best["song"])
        rows.append(
            {
                "query": name,
                "from_s": first * HOP / SAMPLE_RATE,
                "to_s": round(min((last * HOP + SEGMENT) / SAMPLE_RATE, duration), 2),
                "song": songs[song],
                "offset_s": (first + lies - first_row[song]) * HOP / SAMPLE_RATE,
                "score": part["score"].mean(),
                "runner_up": songs[int(best["other"])] if best["other"] >= 0 else "",
                "margin": (part["score"] - part["runner_up"]).mean(),
                "note": "",
            }
        )
    if not rows:
        best = found.loc[found["score"].idxmax()]
        near = "" if best["song"] < 0 else f"; the nearest is {songs[int(best['song'])]}"
        rows = [nothing | {"score": best["score"], "note": f"no match{near}"}]
    return pd.DataFrame(rows, columns=COLUMNS)
