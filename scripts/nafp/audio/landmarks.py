"""The same recording in two files, found by its landmarks: pairs of spectral peaks, robust to codecs, level and cuts.

After Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter
from scipy.signal import stft

WINDOW, HOP = 1024, 256  # samples: 128 ms, 32 ms
AREA = (25, 13)  # bins, frames: a peak is the loudest point of so large a neighbourhood
AT_ONCE = 2**14  # frames, 9 minutes: 0.1 GB
PARTNERS = 5  # the peaks that follow one, with which it makes landmarks
FARTHEST = 63  # frames between the two
KEEP_ONE_IN = 4  # one of so many hashes, the same ones in every song
MAX_SONGS_PER_HASH = 16  # a hash that more songs share tells nothing
SIMILAR = (
    0.05  # of the shorter file's landmarks at one place of the other: MP3s of a song 0.15 and more, other songs 0.01
)
FEWEST = 8  # landmarks that agree


def landmarks(samples: np.ndarray) -> np.ndarray:
    """(T,) int16 at 8 kHz -> (n, 2) int32: hash and frame of pairs of peaks.

    A hash is both bins, 9 bits each, and the frames between them, 6 bits.
    """
    frames = (len(samples) - WINDOW) // HOP + 1
    if frames < 1:
        return np.zeros((0, 2), np.int32)
    parts = [
        spectral_peaks(samples, begin, min(begin + AT_ONCE, frames), frames) for begin in range(0, frames, AT_ONCE)
    ]
    frame, bin_ = np.concatenate(parts, axis=1)
    found = []
    for k in range(1, PARTNERS + 1):
        distance = frame[k:] - frame[:-k]
        near = (distance > 0) & (distance <= FARTHEST)
        key = (bin_[:-k] << 15 | bin_[k:] << 6 | distance)[near]
        found.append(np.stack([key, frame[:-k][near]], axis=1))
    marks = np.concatenate(found).astype(np.int32)
    mixed = marks[:, 0].astype(np.uint32) * np.uint32(2654435761) >> np.uint32(16)  # so that the choice is fair
    return marks[mixed % KEEP_ONE_IN == 0]


def spectral_peaks(samples: np.ndarray, begin: int, end: int, frames: int) -> np.ndarray:
    """(2, n): frame and bin of the peaks of some of a song's frames, in the order of time; those around them are looked at."""
    first, last = max(begin - AREA[1], 0), min(end + AREA[1], frames)
    x = samples[first * HOP : (last - 1) * HOP + WINDOW].astype(np.float32) / 32768
    level = np.abs(stft(x, nperseg=WINDOW, noverlap=WINDOW - HOP, boundary=None, padded=False)[2])[:512]
    peaks = (level == maximum_filter(level, AREA)) & (level > 1e-4)
    frame, bin_ = np.nonzero(peaks[:, begin - first : end - first].T)
    return np.stack([frame + begin, bin_])


def similar(songs: Sequence[np.ndarray]) -> pd.DataFrame:
    """Pairs of files that hold the same recording, or a part of it: columns first, second (numbers), share (0 to 1).

    ``songs``: the landmarks of each. ``share``: of the landmarks of the one with fewer, those that the other has at one offset.
    """
    counts = np.array([len(song) for song in songs], dtype=np.int64)
    owner = np.repeat(np.arange(len(songs), dtype=np.int64), counts)
    marks = np.concatenate([np.zeros((0, 2), np.int32), *songs])
    order = np.lexsort((owner, marks[:, 0]))
    key, frame, owner = marks[order, 0], marks[order, 1].astype(np.int64), owner[order]
    pairs = []
    for k in range(1, min(MAX_SONGS_PER_HASH, len(key))):
        same = np.flatnonzero((key[k:] == key[:-k]) & (owner[k:] != owner[:-k]))
        pairs.append(np.stack([owner[same], owner[same + k], frame[same + k] - frame[same]], axis=1))
    agreeing = pd.DataFrame(np.concatenate([np.zeros((0, 3), np.int64), *pairs]), columns=["first", "second", "offset"])
    agreeing["offset"] //= 2  # the frames of two files do not begin at the same samples
    best = (
        agreeing.value_counts(["first", "second", "offset"])
        .groupby(["first", "second"])
        .max()
        .reset_index(name="count")
    )
    best["share"] = best["count"] / np.minimum(counts[best["first"]], counts[best["second"]])
    found = best[(best["share"] >= SIMILAR) & (best["count"] >= FEWEST)]
    return found[["first", "second", "share"]].sort_values(["first", "second"], ignore_index=True)
