"""The sample rate, and the segments that clips are cut into."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 8000
SEGMENT = SAMPLE_RATE  # 1 s
HOP = SEGMENT // 2


def segments_of(samples: int) -> int:
    """Length of a clip in samples -> the number of its 1 s segments with a hop of 0.5 s; a shorter clip counts as one."""
    return max((int(samples) - SEGMENT) // HOP + 1, 1)


def sequence_samples(length: int) -> int:
    """Number of samples that a sequence of ``length`` segments covers."""
    return (length - 1) * HOP + SEGMENT


def sequence_seconds(length: int) -> float:
    """Seconds that a sequence of ``length`` segments covers; also of an array of lengths."""
    return sequence_samples(length) / SAMPLE_RATE


def count_segments(samples: "np.ndarray") -> "np.ndarray":
    """``segments_of`` an array of lengths."""
    import numpy as np  # here, because planning reads this file

    return np.maximum((np.asarray(samples) - SEGMENT) // HOP + 1, 1)


def first_segments(counts: "np.ndarray") -> "np.ndarray":
    """(clips,) how many segments each has -> (clips,) the number of the first one, counted through all of them."""
    return counts.cumsum() - counts


def clips_at(segments: "np.ndarray", counts: "np.ndarray") -> "np.ndarray":
    """(q,) numbers of segments, counted through all clips -> (q,) the clips that they are of. ``counts``: (clips,) of each."""
    return counts.cumsum().searchsorted(segments, "right")
