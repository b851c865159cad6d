"""Low-pass and high-pass filters."""

import math
from dataclasses import dataclass

import torch

from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Range, WaveStep, uniform


@dataclass
class LowPass(WaveStep):
    """A zero-phase Butterworth low-pass of the given order, its cutoff log-uniform in ``cutoff_hz`` (-3 dB there).

    Zero phase keeps the replica in its place. torchaudio's biquads delay it, and take one cutoff for a whole batch.
    """

    cutoff_hz: Range = (1500, 4000)
    order: int = 4
    sign = 1

    def draw(self, count, length, pool, rng):
        low, high = (math.log(hz) for hz in self.cutoff_hz)
        return {"cutoff_hz": uniform((count, 1), low, high, rng).exp()}

    def apply(self, x, draws, pool):
        n = 2 ** math.ceil(math.log2(2 * x.shape[1]))
        hz = torch.fft.rfftfreq(n, 1 / SAMPLE_RATE, device=x.device)
        ratio = (hz / draws["cutoff_hz"].to(x.device)).clamp(min=1e-6) ** (2 * self.order * self.sign)
        return torch.fft.irfft(torch.fft.rfft(x, n) / (1 + ratio).sqrt(), n)[:, : x.shape[1]]


@dataclass
class HighPass(LowPass):
    """A zero-phase Butterworth high-pass of the given order, its cutoff log-uniform in ``cutoff_hz`` (-3 dB there)."""

    cutoff_hz: Range = (50, 500)
    sign = -1
