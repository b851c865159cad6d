"""What loud passages suffer: compression and clipping. Both leave the level alone that is below their threshold."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Range, WaveStep, peak_of, uniform

SOFTEST = 1e-5  # -100 dB of full scale, which counts as silence


@dataclass
class Clipping(WaveStep):
    """Cut what is louder than the segment's peak less ``drive_db``, uniform in that range: 6 dB clip at half the peak.

    ``mode``: ``hard``, as of an overdriven converter, or ``soft``, as of an amplifier (the hyperbolic tangent).
    """

    drive_db: Range = (3, 12)
    mode: str = "hard"

    def draw(self, count, length, pool, rng):
        return {"drive_db": uniform((count, 1), *self.drive_db, rng)}

    def apply(self, x, draws, pool):
        limit = (peak_of(x, self.samples) * 10 ** (-draws["drive_db"].to(x.device) / 20)).clamp(min=SOFTEST)
        return limit * torch.tanh(x / limit) if self.mode == "soft" else torch.clamp(x, -limit, limit)


@dataclass
class Compressor(WaveStep):
    """Dynamic compression: of what is above a threshold, 1 dB is left of every ``ratio`` dB.

    The threshold is relative to the segment's peak, so that it follows the level: uniform in ``threshold_db``; the ratio is
    uniform in ``ratio``. The gain falls within ``attack_s`` and recovers within ``release_s`` (time constants): the decoupled
    peak detector in the log domain of Giannoulis, Massberg and Reiss (J. Audio Eng. Soc. 60, 2012). No make-up gain.
    """

    threshold_db: Range = (-30, -15)
    ratio: Range = (2, 8)
    attack_s: float = 0.005
    release_s: float = 0.1

    def draw(self, count, length, pool, rng):
        return {
            "threshold_db": uniform((count, 1), *self.threshold_db, rng),
            "ratio": uniform((count, 1), *self.ratio, rng),
        }

    def apply(self, x, draws, pool):
        threshold, ratio = (draws[name].to(x.device) for name in ("threshold_db", "ratio"))
        relative = x.abs() / peak_of(x, self.samples).clamp(min=SOFTEST)
        over = (20 * torch.log10(relative.clamp(min=SOFTEST)) - threshold).clamp(min=0)
        reduction = smoothed(held(over * (1 - 1 / ratio), self.release_s), self.attack_s)
        return x * 10 ** (-reduction / 20)


def held(x: Tensor, seconds: float) -> Tensor:
    """(B, T) non-negative -> its peaks, each decaying exponentially with this time constant until a higher one comes.

    y[n] = max(x[n], y[n-1] exp(-1 / (seconds * rate))) for all n at once: the logarithm of y is a running maximum on a slope.
    """
    slope = torch.arange(x.shape[1], device=x.device) / (seconds * SAMPLE_RATE)
    return (torch.cummax(x.log() + slope, dim=1).values - slope).exp()


def smoothed(x: Tensor, seconds: float) -> Tensor:
    """(B, T) -> the same through a one-pole low-pass with this time constant, from 0 on."""
    pole = math.exp(-1 / (seconds * SAMPLE_RATE))
    n = 2 ** math.ceil(math.log2(2 * x.shape[1]))
    response = (1 - pole) * pole ** torch.arange(x.shape[1], device=x.device)
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(response, n), n)[:, : x.shape[1]]
