"""Reverberation times of impulse responses."""

import math
from collections.abc import Sequence

import numpy as np

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.wav import onset
from nafp.errors import UserError

DECAY_DB = (-5, -25)  # T20 of ISO 3382-1: the part of the decay to which the line is fitted


def reverberation_time(response: np.ndarray) -> float:
    """Seconds in which the sound of an impulse response (T,) decays by 60 dB, from its decay over 20 dB; NaN if it is shorter.

    T20 of ISO 3382-1, broadband: a line through the backward-integrated energy (Schroeder 1965) from the direct sound on.
    The noise at the end of a recording, measured in its last tenth, is subtracted from the energy (Chu 1978).
    """
    energy = response[onset(response) :].astype(np.float64) ** 2
    tail = energy[-max(len(energy) // 10, 1) :]
    decay = np.cumsum((energy - (tail.mean() if len(energy) > 10 else 0))[::-1])[::-1]
    if not len(decay) or decay[0] <= 0:
        return math.nan
    level = 10 * np.log10(np.maximum(decay / decay[0], 1e-12))
    first, last = (int(np.argmax(level < db)) for db in DECAY_DB)
    if not last:
        return math.nan
    if last - first < 2:  # no line, but what has no reverberation at all
        return 60 / (DECAY_DB[0] - DECAY_DB[1]) * (last - first) / SAMPLE_RATE
    slope = np.polyfit(np.arange(first, last) / SAMPLE_RATE, level[first:last], 1)[0]
    return -60 / slope


def with_reverberation(responses: Sequence[np.ndarray], rt60_s: Sequence[float]) -> list[np.ndarray]:
    """The responses whose reverberation time lies in a range; UserError if there are none."""
    times = np.array([reverberation_time(response) for response in responses])
    found = [response for response, time in zip(responses, times, strict=True) if rt60_s[0] <= time <= rt60_s[1]]
    if not found:
        there = times[np.isfinite(times)]
        known = f"from {there.min():.2f} to {there.max():.2f} s" if len(there) else "unknown, as none decays by 25 dB"
        raise UserError(
            f"impulse_response.rt60_s: no response has a reverberation time of {rt60_s[0]:g} to {rt60_s[1]:g} s; "
            f"those of the {len(times)} responses are {known}"
        )
    return found
