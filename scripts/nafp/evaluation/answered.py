"""Ask a method all queries, and put its answers (song, offset) where hits are counted: on the rows of the database."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nafp.audio.segments import HOP, SAMPLE_RATE, clips_at, first_segments
from nafp.audio.songs import Songs
from nafp.methods.answers import Answers, Queries
from nafp.methods.interface import Answering
from nafp.search.result import Result

BEYOND_NEAR = 2  # segments off that no hit of a place is


@dataclass(frozen=True)
class Answered:
    """All answers of a method, one entry a length, and what they cost. ``build_s``: to take in the songs."""

    placed: list[Result]
    build_s: float
    size_bytes: int | None

    def facts(self, timed: bool) -> dict[str, Any]:
        """The fields of a cell that say what answers cost and how many there are; without times unless ``timed``."""
        return {
            "build_s": round(self.build_s, 3) if timed else None,
            "ms_per_query": [round(one.ms, 4) for one in self.placed] if timed else None,
            "index_bytes": self.size_bytes,
            "unanswered": [int((one.place[:, 0] < 0).sum()) for one in self.placed],
        }


def ask(
    method: Answering, songs: Songs, queries: Queries, lengths: Sequence[int], truth: np.ndarray, threads: int
) -> Answered:
    """Let a method answer queries of all lengths (in segments). ``truth``: (q,) the right row of the database for each query.

    The method is not told which one that is.
    """
    began = time.perf_counter()
    built = method.build(songs, threads)
    build_s = time.perf_counter() - began
    placed, queries = [], replace(queries, lengths=tuple(lengths))
    for length in lengths:
        began = time.perf_counter()
        answers = built.answer(queries, length)
        ms = (time.perf_counter() - began) / len(queries) * 1e3
        placed.append(place(answers, length, songs, truth, ms))
    return Answered(placed, build_s, built.size_bytes)


def place(answers: Answers, length: int, songs: Songs, truth: np.ndarray, ms: float) -> Result:
    """Answers of a method as rows of the database; ``other_place`` is the best answer of another song than the asked one."""
    rows = rows_at(answers.song, answers.offset_s, songs.segments, truth[:, None])
    others = rows_at(answers.other_song, answers.other_offset_s, songs.segments, truth)
    right = answers.song[:, 0] == clips_at(truth, songs.segments)
    return Result(
        length=length,
        place=rows,
        score=answers.score,
        other_place=np.where(right, others, rows[:, 0]),
        other_score=np.where(right, answers.other_score, answers.score[:, 0]),
        ms=ms,
    )


def rows_at(song: np.ndarray, offset_s: np.ndarray, segments: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The row nearest to a place in a song, seconds into it; -1 where there is no song. ``segments``: (songs,) of each song.

    A place outside of its song is taken to be inside, as far from the right row (``truth``) as it is, or as far as the song goes:
    it is no hit by being put there. In the right song that is so short that it would be one, it is -1.
    """
    first, last = first_segments(segments)[song], segments[song] - 1
    nth = np.floor(offset_s * SAMPLE_RATE / HOP + 0.5)
    right = np.clip(truth - first, 0, last)
    far = np.abs(nth - right)
    inside = np.where(right + far <= last, right + far, np.where(right >= far, right - far, last * (2 * right < last)))
    outside = (nth < 0) | (nth > last)
    nth = np.where(outside, inside, nth).astype(np.int64)
    nearer = np.minimum(far, BEYOND_NEAR) > np.abs(nth - right)
    lost = outside & nearer & (first <= truth) & (truth <= first + last)
    return np.where((song >= 0) & ~lost, first + nth, -1)
