"""The sample rate, and the segments that clips are cut into."""

import numpy as np

SAMPLE_RATE = 8000
SEGMENT = SAMPLE_RATE  # 1 s
HOP = SEGMENT // 2


def count_segments(samples: np.ndarray) -> np.ndarray:
    """Lengths of clips -> the number of their 1 s segments with a hop of 0.5 s; a shorter clip counts as one."""
    return np.maximum((np.asarray(samples) - SEGMENT) // HOP + 1, 1)
