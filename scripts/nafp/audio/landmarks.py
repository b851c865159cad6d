"""Landmarks (pairs of spectral peaks) find the same recording in two files, whatever their codec, level and cuts.

After Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.ndimage import maximum_filter
from scipy.signal import stft

WINDOW, HOP = 1024, 256  # samples: 128 ms, 32 ms
AREA = (25, 13)  # bins, frames: neighbourhood of which a peak is the loudest point
AT_ONCE = 2**14  # frames in memory: 9 minutes, 0.1 GB
PARTNERS = 5  # following peaks that a peak is paired with
FARTHEST = 63  # frames between the two peaks, at most
KEEP_ONE_IN = 4  # hashes; the same ones in every song
MAX_SONGS_PER_HASH = 16  # more frequent hashes are ignored
SIMILAR = 0.05  # share of the shorter file's landmarks; MP3s of one song have 0.15 and more, different songs 0.01
FEWEST = 8  # landmarks that must agree


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
    mixed = marks[:, 0].astype(np.uint32) * np.uint32(2654435761) >> np.uint32(
        16
    )  # mixes the bits, so that the choice is even
    return marks[mixed % KEEP_ONE_IN == 0]


def spectral_peaks(samples: np.ndarray, begin: int, end: int, frames: int) -> np.ndarray:
    """(2, n): frame and bin of the peaks in frames ``begin`` to ``end`` of a song, in order of time."""
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
    agreeing["offset"] //= 2  # tolerance: the frames of two files do not start at the same samples
    best = (
        agreeing.value_counts(["first", "second", "offset"])
        .groupby(["first", "second"])
        .max()
        .reset_index(name="count")
    )
    best["share"] = best["count"] / np.minimum(counts[best["first"]], counts[best["second"]])
    found = best[(best["share"] >= SIMILAR) & (best["count"] >= FEWEST)]
    return found[["first", "second", "share"]].sort_values(["first", "second"], ignore_index=True)
