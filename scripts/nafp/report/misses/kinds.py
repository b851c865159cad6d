"""Kinds of answers: the right segment, its neighbour, another time of the song, another song, silence."""

import numpy as np
import pandas as pd

from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split

SILENCE_DBFS = -60
KINDS = {  # kind -> hatch, to tell kinds apart in grey print
    "exact": "",
    "near (± 1 segment)": "",
    "same song, another time": "///",
    "another test song": "...",
    "a distractor song": "\\\\\\",
    "silence": "xxx",
    "several equally good": "++",
    "nothing found": "",
}
_SEGMENTS_AT_A_TIME = 4096


def silent(split: Split, segments: np.ndarray) -> np.ndarray:
    """(n,) numbers of segments -> (n,) whether their RMS is below SILENCE_DBFS."""
    loudest = 32768 * 10 ** (SILENCE_DBFS / 20)
    windows = np.lib.stride_tricks.sliding_window_view(split.audio, SEGMENT)
    starts, quiet = split.segments.start[segments], np.empty(len(segments), bool)
    for first in range(0, len(starts), _SEGMENTS_AT_A_TIME):
        some = windows[starts[first : first + _SEGMENTS_AT_A_TIME]].astype(np.float32)
        quiet[first : first + len(some)] = np.sqrt(np.mean(np.square(some), axis=1)) < loudest
    return quiet


def kinds_of(hits: pd.DataFrame, songs: np.ndarray, dummy_rows: int, quiet: np.ndarray) -> np.ndarray:
    """(n,) which of KINDS the best answers to queries of one length are.

    ``hits``: per-query table with truth, place1, top1_exact, top1_near, top1_song. ``songs``: (rows,) song of each row of the
    database, whose first ``dummy_rows`` are distractors. ``quiet``: (n,) whether a test segment is silent. A miss where the
    query's first segment or the right one is silent counts as silence, whatever the answer is; a right answer that is not a hit,
    because another place has the same score, counts as several equally good.
    """
    place, truth = hits["place1"].to_numpy(), hits["truth"].to_numpy()
    found = place >= 0
    same_song = found & (songs[np.where(found, place, 0)] == songs[truth])
    tied = same_song & ((np.abs(place - truth) <= 1) | ~hits["top1_song"])
    return np.select(
        [
            hits["top1_exact"],
            same_song & hits["top1_near"],
            quiet,
            tied,
            same_song,
            found & (place >= dummy_rows),
            found,
        ],
        [list(KINDS)[i] for i in (0, 1, 5, 6, 2, 3, 4)],
        "nothing found",
    )


def kinds_of_answers(hits: pd.DataFrame, songs: np.ndarray, dummy_rows: int, quiet: np.ndarray) -> pd.Series:
    """Count the best answers to queries of one length by KINDS; the arguments are those of ``kinds_of``."""
    kinds = pd.Series(kinds_of(hits, songs, dummy_rows, quiet))
    return kinds.value_counts().reindex(list(KINDS), fill_value=0)
