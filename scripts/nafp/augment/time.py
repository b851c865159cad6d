"""Speed, tempo and pitch: steps that read the sound faster or slower before all others degrade it.

Each is two factors. ``stretch`` moves time and keeps frequencies (a phase vocoder), ``resample`` moves time and multiplies
frequencies; their product is the rate, song seconds a second of the copy. Several steps multiply. Every row of a batch has
factors of its own, which torchaudio's functions (one rate a call) do not take.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from nafp.audio.pools import AudioPool
from nafp.augment.base import Draws, Range, uniform

FFT, HOP = 512, 128  # samples of the phase vocoder's windows and between them: 64 and 16 ms
FINER = 4  # times the sample rate, at which samples are interpolated by cubics: errors below -40 dB up to 4 kHz
ROLLOFF = 0.06  # share of the pass band over which the low-pass before faster reading falls
MARGIN = FFT  # samples read beyond an excerpt, so that its end is not the end of the sound


@dataclass
class TimeStep(ABC):
    """A step on time. ``p``: the probability that it acts on a row."""

    p: float = 1.0

    @property
    @abstractmethod
    def factors(self) -> tuple[Tensor, Tensor]:
        """``stretch`` and ``resample`` at both ends of the step's range, (2,) each, between which logarithms are uniform."""

    def draw(self, count: int, rng: Generator) -> Tensor:
        """(2, count) factors, ``stretch`` and ``resample``; 1 where the step does not act."""
        u = uniform((2, count), 0, 1, rng)
        low, high = torch.stack(self.factors).log().T[:, :, None]
        return torch.where(u[1] < self.p, (low + (high - low) * u[0]).exp(), 1.0)


@dataclass
class Speed(TimeStep):
    """Play faster or slower by ``percent``: time, pitch and timbre all change, as with a turntable."""

    percent: Range = (-5, 5)

    @property
    def factors(self):
        return torch.ones(2, dtype=torch.float64), 1 + torch.tensor(self.percent, dtype=torch.float64) / 100


@dataclass
class Tempo(TimeStep):
    """Play ``factor`` times as fast at the same pitch."""

    factor: Range = (0.9, 1.1)

    @property
    def factors(self):
        return torch.tensor(self.factor, dtype=torch.float64), torch.ones(2, dtype=torch.float64)


@dataclass
class Pitch(TimeStep):
    """Transpose by ``semitones`` at the same tempo."""

    semitones: Range = (-1, 1)

    @property
    def factors(self):
        ratio = 2 ** (torch.tensor(self.semitones, dtype=torch.float64) / 12)
        return 1 / ratio, ratio


class TimeSteps:
    """The steps on time of a chain, as one; false without any.

    Factors: "resample" (B,), and "stretch" (B,) where something is stretched.
    """

    def __init__(self, steps: Sequence[TimeStep]):
        self.steps = steps
        ends = [step.factors for step in steps]
        self.stretch = any((stretch != 1).any() for stretch, _ in ends)
        # the largest factors that a row can have: how much is read, whatever is drawn, so that batches have one shape
        self.higher = math.prod(max(1.0, resample.max().item()) for _, resample in ends)
        self.faster = math.prod(max(1.0, (stretch * resample).max().item()) for stretch, resample in ends)

    def __bool__(self) -> bool:
        return bool(self.steps)

    def draw(self, count: int, rng: Generator) -> dict[str, Tensor]:
        """The factors of ``count`` rows; nothing without steps."""
        if not self:
            return {}
        stretch, resample = torch.stack([step.draw(count, rng) for step in self.steps]).prod(dim=0)
        return {"resample": resample} | ({"stretch": stretch} if self.stretch else {})

    def move(self, clip: Tensor, factors: Mapping[str, Tensor]) -> Tensor:
        """(T,) a whole clip -> the same with the factors of one row, as long as ``moved_samples`` says."""
        samples = moved_samples(len(clip), factors)
        return warp(clip[None], factors, samples, math.ceil(samples * factors["resample"].item()))[0]

    def excerpts(
        self,
        factors: Mapping[str, Tensor],
        pool: AudioPool,
        starts: Tensor,
        first: Tensor,
        end: Tensor,
        samples: int,
    ) -> Tensor:
        """(B, samples) excerpts from ``starts`` (B,) on, by their factors, see ``places``; as they are without factors."""
        if not factors:
            return pool.cut(starts, samples)
        return self.cut(pool, self.places(factors, pool, starts, first, end), samples)

    def places(
        self, factors: Mapping[str, Tensor], pool: AudioPool, starts: Tensor, first: Tensor, end: Tensor, past: int = 0
    ) -> Draws:
        """The factors, and where ``cut`` reads: (B,) ``starts`` in the packed array, in clips that go from ``first`` to ``end``.

        ``past``: number of samples before the one that is read at the start.
        """
        at = {"start": starts - (rates_of(factors) * past).round().long(), "first": first, "end": end}
        return {**factors, **{name: pool.places(positions) for name, positions in at.items()}}

    def cut(self, pool: AudioPool, places: Draws, samples: int) -> Tensor:
        """(B, samples) excerpts; silence where they leave their clips."""
        length = math.ceil(samples * self.faster) + MARGIN
        x = pool.cut_inside(places["start"], length, places["first"], places["end"])
        return warp(x, places, samples, math.ceil(samples * self.higher))


def rates_of(factors: Mapping[str, Tensor]) -> Tensor:
    """(B,) song seconds a second of the copy."""
    return factors["resample"] * factors.get("stretch", 1)


def rate_of(factors: Mapping[str, Tensor]) -> float:
    """The rate of one row, without digits that are rounding; 1 where time does not move."""
    return round(rates_of(factors).item(), 9) if factors else 1.0


def moved_samples(samples: int, factors: Mapping[str, Tensor]) -> int:
    """Length of a copy of a clip of so many samples."""
    return max(round(samples / rate_of(factors)), 1)


def warp(x: Tensor, factors: Mapping[str, Tensor], samples: int, stretched_samples: int) -> Tensor:
    """(B, T) -> (B, samples): sample n is what is heard at the place n * stretch * resample of the input.

    ``stretched_samples``: those that are resampled, at most. What lies beyond T is silence.
    """
    if "stretch" in factors:
        x = stretched(x, factors["stretch"], stretched_samples + MARGIN)
    return resampled(x, factors["resample"], samples)


def stretched(x: Tensor, factor: Tensor, samples: int) -> Tensor:
    """(B, T) -> (B, samples) the same, ``factor`` (B,) times as fast, by a phase vocoder (Flanagan & Golden, 1966).

    Frames are taken ``factor`` apart: magnitudes are interpolated, phases go on as they do from one frame to the next.
    """
    window = torch.hann_window(FFT, device=x.device)
    x = torch.nn.functional.pad(x, (FFT // 2, FFT))  # the first frame is centred on the first sample
    spectrum = torch.stft(x, FFT, HOP, window=window, center=False, return_complex=True)  # (B, bins, frames)
    frames, count = spectrum.shape[2], samples // HOP + 2
    at = torch.arange(count, device=x.device) * factor.to(x.device)[:, None]
    before = at.long().clamp(max=frames)  # what is behind the last frame is silence
    share = (at - before).clamp(max=1).float()[:, None]
    padded = torch.nn.functional.pad(spectrum, (0, 2))
    low, high = (padded.gather(2, rows[:, None].expand(-1, padded.shape[1], -1)) for rows in (before, before + 1))
    advance = (high * low.conj()).angle()
    phase = spectrum[:, :, :1].angle() + advance.cumsum(dim=2) - advance
    bins = torch.polar(torch.lerp(low.abs(), high.abs(), share), phase)
    # bins of one partial drift apart: each takes the phase of its sum with its neighbours (Puckette, 1995), whose signs alternate
    sums = bins - torch.nn.functional.pad(bins, (0, 0, 1, -1)) - torch.nn.functional.pad(bins, (0, 0, -1, 1))
    unchanged = (factor == 1).to(x.device)[:, None, None]
    bins = torch.where(unchanged, low, torch.polar(bins.abs(), sums.angle()))
    pieces = torch.fft.irfft(bins, dim=1) * window[:, None]
    # torch.istft makes the CPU wait for a GPU, which a recorded training step cannot
    weights = window.square()[None, :, None].expand(1, -1, count)
    return (overlapped(pieces) / overlapped(weights).clamp(min=1e-3))[:, FFT // 2 :][:, :samples]


def overlapped(pieces: Tensor) -> Tensor:
    """(B, FFT, frames) -> (B, T) the frames added up, HOP apart."""
    length = FFT + HOP * (pieces.shape[2] - 1)
    return torch.nn.functional.fold(pieces, (1, length), (1, FFT), stride=(1, HOP)).flatten(1)


def resampled(x: Tensor, factor: Tensor, samples: int) -> Tensor:
    """(B, T) -> (B, samples) the samples at the places n * factor (B,), without those frequencies that would be mirrored."""
    n = 2 ** math.ceil(math.log2(x.shape[1] + MARGIN))
    factor = factor.to(x.device)[:, None]
    spectrum = torch.fft.rfft(x, n)
    pitch = torch.arange(n // 2 + 1, device=x.device) / (n // 2) * factor  # 1: half the sample rate, when it is read
    passed = torch.where(factor > 1, ((1 - pitch) / ROLLOFF).clamp(0, 1), 1.0).float()
    passed[:, -1] /= 2  # the last bin is its own mirror image, in the finer spectrum it is not
    fine = torch.fft.irfft(spectrum * passed, FINER * n) * FINER
    at = torch.arange(samples, device=x.device) * factor * FINER
    before = at.long()
    t = (at - before).float()
    weights = (
        (1 - t) * t * (t - 2) / 6,
        (t + 1) * (t - 1) * (t - 2) / 2,
        (t + 1) * t * (2 - t) / 2,
        t * (t * t - 1) / 6,
    )
    before = before.clamp(max=FINER * (n - MARGIN // 2))  # silence
    neighbours = [fine.gather(1, (before + k) % (FINER * n)) for k in (-1, 0, 1, 2)]
    return sum(weight * values for weight, values in zip(weights, neighbours, strict=True))
