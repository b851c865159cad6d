"""A radio programme with known cues, and how well its recognised intervals agree with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import fftconvolve

from nafp.audio.segments import SAMPLE_RATE


@dataclass(frozen=True)
class Excerpt:
    """Samples (T,) of a recording, the song they are from (None for what no library holds), and where in it they begin."""

    samples: np.ndarray
    song: str | None = None
    offset_s: float = 0.0


def crossfaded(pieces: Sequence[Excerpt], fade_s: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Pieces one after the other, each faded into the next over ``fade_s`` with constant power.

    Returns (T,) float64 samples, and the cues: song, from_s, to_s (from the middle of a fade to the middle of the next),
    offset_s (of from_s in the song).
    """
    fade = round(fade_s * SAMPLE_RATE)
    ramp = np.sin(np.linspace(0, np.pi / 2, fade))
    mix, cues, begin = np.zeros(sum(len(piece.samples) - fade for piece in pieces) + fade), [], 0
    for number, piece in enumerate(pieces):
        samples = piece.samples.astype(np.float64)
        if number:
            samples[:fade] *= ramp
        if number < len(pieces) - 1:
            samples[len(samples) - fade :] *= ramp[::-1]
        mix[begin : begin + len(samples)] += samples
        end = begin + len(samples)
        low, high = (begin + fade // 2 if number else begin), (end - fade // 2 if number < len(pieces) - 1 else end)
        if piece.song is not None:
            offset_s = piece.offset_s + (low - begin) / SAMPLE_RATE
            cues.append((piece.song, low / SAMPLE_RATE, high / SAMPLE_RATE, offset_s))
        begin = end - fade
    return mix, pd.DataFrame(cues, columns=["song", "from_s", "to_s", "offset_s"])


def degraded(samples: np.ndarray, noise: np.ndarray, response: np.ndarray, snr_db: float) -> np.ndarray:
    """Samples (T,) in a room (impulse response) with noise, repeated to their length, at an SNR -> (T,) int16."""
    wet = fftconvolve(samples, response.astype(np.float64))[: len(samples)]
    noise = np.resize(noise, len(wet)).astype(np.float64)
    noise *= np.sqrt(np.mean(wet**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    mix = wet + noise
    return np.round(mix / np.abs(mix).max() * 0.9 * 32767).astype(np.int16)


def match_cues(matches: pd.DataFrame, cues: pd.DataFrame) -> pd.DataFrame:
    """Recognised intervals (``identify``) against cues: one row a cue, then one a false interval.

    An interval is a cue's if it names its song, overlaps with it, and lies at the same place of the song within 1 s; of
    several, the longest, and the others are false. Columns: song, from_s, to_s, found, onset_s and offset_s (found minus
    cue, NaN where there is none); found is False for a missed cue, and missing for a false interval.
    """
    matches = matches.dropna(subset="song").assign(length=lambda rows: rows["to_s"] - rows["from_s"])
    matches = matches.sort_values("length", ascending=False)
    rows, used = [], set()
    for cue in cues.itertuples():
        shift = (matches["offset_s"] - matches["from_s"]) - (cue.offset_s - cue.from_s)
        same = (matches["song"] == cue.song) & (matches["from_s"] < cue.to_s) & (matches["to_s"] > cue.from_s)
        mine = [i for i in matches.index[same & (shift.abs() <= 1)] if i not in used]
        used |= set(mine[:1])
        errors = matches.loc[mine[0], ["from_s", "to_s"]] - [cue.from_s, cue.to_s] if mine else [np.nan, np.nan]
        rows.append((cue.song, cue.from_s, cue.to_s, bool(mine), *errors))
    others = matches.drop(index=list(used))
    rows += [(row.song, row.from_s, row.to_s, None, np.nan, np.nan) for row in others.itertuples()]
    return pd.DataFrame(rows, columns=["song", "from_s", "to_s", "found", "onset_s", "offset_s"])
