"""Filters and equalisers, all of zero phase: they keep the replica in its place.

torchaudio's biquads would delay it by up to some ms, and take one cutoff for a whole batch.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Draws, Range, WaveStep, uniform


def log_uniform(shape: Sequence[int] | int, low: float, high: float, rng: Generator) -> Tensor:
    """Numbers in [low, high) whose logarithms are uniform, drawn on the CPU."""
    return uniform(shape, math.log(low), math.log(high), rng).exp()


def low_pass_power(hz: Tensor, cutoff_hz: Tensor, order: int) -> Tensor:
    """Power response of a Butterworth low-pass; of the high-pass with a negative order. Shapes broadcast."""
    return 1 / (1 + (hz / cutoff_hz).clamp(min=1e-6) ** (2 * order))


@dataclass
class Filter(WaveStep):
    """A filter by its magnitude response."""

    @abstractmethod
    def power(self, hz: Tensor, draws: Draws) -> Tensor:
        """(bins,) frequencies -> (B, bins) squared magnitudes."""

    def apply(self, x, draws, pool):
        n = 2 ** math.ceil(math.log2(2 * x.shape[1]))
        hz = torch.fft.rfftfreq(n, 1 / SAMPLE_RATE, device=x.device)
        sent = {name: values.to(x.device) for name, values in draws.items() if isinstance(values, Tensor)}
        return torch.fft.irfft(torch.fft.rfft(x, n) * self.power(hz, sent).sqrt(), n)[:, : x.shape[1]]


@dataclass
class LowPass(Filter):
    """A Butterworth low-pass of the given order, its cutoff log-uniform in ``cutoff_hz`` (-3 dB there)."""

    cutoff_hz: Range = (1500, 4000)
    order: int = 4
    sign = 1

    def draw(self, count, length, pool, rng):
        return {"cutoff_hz": log_uniform((count, 1), *self.cutoff_hz, rng)}

    def power(self, hz, draws):
        return low_pass_power(hz, draws["cutoff_hz"], self.sign * self.order)


@dataclass
class HighPass(LowPass):
    """A Butterworth high-pass of the given order, its cutoff log-uniform in ``cutoff_hz`` (-3 dB there)."""

    cutoff_hz: Range = (50, 500)
    sign = -1


@dataclass
class BandPass(Filter):
    """A Butterworth high-pass and low-pass in one, cutoffs log-uniform in ``low_hz`` and ``high_hz`` (-3 dB there).

    As a default a telephone's band (ITU-T G.712).
    """

    low_hz: Range = (300, 300)
    high_hz: Range = (3400, 3400)
    order: int = 4

    def draw(self, count, length, pool, rng):
        return {name: log_uniform((count, 1), *getattr(self, name), rng) for name in ("low_hz", "high_hz")}

    def power(self, hz, draws):
        return low_pass_power(hz, draws["low_hz"], -self.order) * low_pass_power(hz, draws["high_hz"], self.order)


@dataclass
class Equalizer(Filter):
    """Raise or lower ``bands`` bands of each replica, as an equaliser with bell curves does.

    Of each band, the gain at its centre is uniform in ``gain_db``, its centre and its quality (centre / width) log-uniform in
    ``centre_hz`` and ``q``. The curve is that of the analogue peaking filter in Bristow-Johnson's cookbook (W3C Note).
    """

    bands: int = 3
    gain_db: Range = (-12, 12)
    centre_hz: Range = (100, 3500)
    q: Range = (0.7, 2)

    def draw(self, count, length, pool, rng):
        shape = (count, self.bands, 1)
        return {
            "gain_db": uniform(shape, *self.gain_db, rng),
            "centre_hz": log_uniform(shape, *self.centre_hz, rng),
            "q": log_uniform(shape, *self.q, rng),
        }

    def power(self, hz, draws):
        ratio, a = hz / draws["centre_hz"], 10 ** (draws["gain_db"] / 40)
        off, width = (1 - ratio**2) ** 2, ratio / draws["q"]
        return ((off + (width * a) ** 2) / (off + (width / a) ** 2)).prod(dim=1)
