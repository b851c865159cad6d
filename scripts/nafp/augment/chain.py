"""The augmentation chain: from a segment of a song to its degraded replica (paper 3.3).

A chain is an ordered list of steps. A step is one small dataclass whose fields are its settings. It first *draws* the
random numbers of a whole batch, on the CPU, so that one seed draws the same on any device and for any split of the batch
into pieces; then it is *applied* to the batch, or to some rows of it, on the device that holds them. Steps act in three
places:

* ``crop``: where the anchor and its replica are cut out of the clip, and where a second cut takes over;
* ``wave``: the replica's samples, (B, T) float32; only the last second of T is the segment, what precedes it is the past;
* ``image``: the log-mel images of both, (B, mels, frames).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Generator, Tensor

from nafp.audio.codecs import CODECS, code_and_decode
from nafp.audio.pools import AudioPool, integers
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.augment.masks import BatchMean, Cutout, Draws, FrequencyMask, Range, TimeMask
from nafp.augment.steps import POOL_OF_STEP


def uniform(shape: Sequence[int] | int, low, high, rng: Generator) -> Tensor:
    """Uniform numbers in [low, high) (bounds broadcast), drawn on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def rms(x: Tensor, samples: int = SEGMENT) -> Tensor:
    """(B, T) -> (B, 1) root mean square of the segment, the last ``samples``."""
    return x[:, -samples:].square().mean(dim=1, keepdim=True).sqrt()


def scale_peak(x: Tensor, peak: Tensor | float, samples: int = SEGMENT) -> Tensor:
    """Scale each row of (B, T) to a peak of ``peak`` in its segment, the last ``samples``; silence stays silence."""
    present = x[:, -samples:].abs().amax(dim=1, keepdim=True)
    return x * torch.where(present > 0, peak / present, 0)


# ---------------------------------------------------------------- crop


@dataclass
class TimeOffset:
    """Cut the anchor up to ``max_s`` from its place and the replica up to ``max_s`` from the anchor, inside the clip.

    ``frozen``: a segment's offsets are the same in every epoch and run, as in the published code, which seeds its
    generator with the segment's number.
    """

    stage = "crop"
    max_s: float = 0.2  # paper 3.3
    frozen: bool = False

    def draw(self, low: Tensor, high: Tensor, positives: int, rng: Generator, ids: Tensor | None = None) -> Tensor:
        """Bounds (B,) of the offset in samples -> (B, 1 + positives) offsets of the anchor and of its replicas."""
        most = round(self.max_s * SAMPLE_RATE)
        if self.frozen:
            u = np.stack([np.random.default_rng(int(i)).random(1 + positives) for i in ids])
            u = torch.from_numpy(u)
        else:
            u = torch.rand((len(low), 1 + positives), generator=rng, dtype=torch.float64)
        low, high = low[:, None], high[:, None]
        anchor = integers(low.clamp(min=-most), high.clamp(max=most), u[:, :1])
        replicas = integers(torch.maximum(low, anchor - most), torch.minimum(high, anchor + most), u[:, 1:])
        return torch.cat([anchor, replicas], dim=1)


@dataclass
class Splice:
    """From a point uniform in ``at_s`` on, a replica goes on as another one of its anchor: another cut, degraded anew.

    So do queries that are made second by second, wherever a segment holds the seam of two of them.
    """

    stage = "splice"
    p: float = 0.3
    at_s: Range = (0.5, 0.5)

    def draw(self, count: int, rng: Generator) -> tuple[Tensor, Tensor]:
        """Of ``count`` replicas (m,) the numbers of those that are spliced, and (m, 1) samples: where."""
        rows = torch.nonzero(torch.rand(count, generator=rng) < self.p)[:, 0]
        return rows, (uniform((len(rows), 1), *self.at_s, rng) * SAMPLE_RATE).long()


# ---------------------------------------------------------------- wave


@dataclass
class WaveStep(ABC):
    """What the steps on samples share: the probability, and the pool of sounds that a step takes from ("" if none)."""

    stage = "wave"
    p: float = 1.0
    pool: str = field(default="", init=False)
    samples: int = field(default=SEGMENT, init=False)
    for_queries: bool = field(default=False, init=False)

    def draw(self, count: int, length: int, pool: AudioPool | None, rng: Generator) -> dict[str, Tensor]:
        """Random numbers for ``count`` rows of ``length`` samples: name -> (count, ...)."""
        return {}

    @abstractmethod
    def apply(self, x: Tensor, draws: Draws, pool: AudioPool | None) -> Tensor:
        """(B, T) -> (B, T), with the draws of these rows."""


@dataclass
class Background(WaveStep):
    """Add an excerpt of the pool at a signal-to-noise ratio uniform in ``snr_db``; the signal keeps its level."""

    snr_db: Range = (0, 10)
    pool: str = field(default=POOL_OF_STEP["background"], init=False)

    def draw(self, count, length, pool, rng):
        starts = pool.random_starts(count, length, rng)
        return {"start": pool.places(starts), "snr_db": uniform((count, 1), *self.snr_db, rng)}

    def apply(self, x, draws, pool):
        return mix_at_snr(x, pool.cut(draws["start"], x.shape[1]), draws["snr_db"].to(x.device), self.samples)


def mix_at_snr(x: Tensor, noise: Tensor, snr_db: Tensor, samples: int = SEGMENT) -> Tensor:
    """x + noise with the noise scaled to (B, 1) ``snr_db`` below the segment's RMS; silent noise adds nothing."""
    noise_rms = rms(noise, samples)
    gain = torch.where(noise_rms > 0, rms(x, samples) / noise_rms * 10 ** (-snr_db / 20), 0)
    return x + gain * noise


@dataclass
class Speech(Background):
    """Background speech, mixed as background noise is."""

    pool: str = field(default=POOL_OF_STEP["speech"], init=False)


@dataclass
class ImpulseResponse(WaveStep):
    """Convolve with a random impulse response of the given kinds (folder names: room, mic).

    ``linear`` cuts the tail at the segment's end; ``circular`` wraps it to the beginning, as the published code does
    with the first 600 samples. ``max_samples: null`` takes the responses whole. ``trim`` drops what comes before the
    direct sound, which would delay the replica; None: in queries only, since the published code trains without.
    """

    kinds: Sequence[str] | None = None
    mode: str = "linear"
    max_samples: int | None = SAMPLE_RATE
    trim: bool | None = None
    pool: str = field(default=POOL_OF_STEP["impulse_response"], init=False)

    def __post_init__(self):
        # Spectra by pool and length: transforming a pool again for each batch would dominate.
        self._banks: WeakKeyDictionary[AudioPool, dict[int, Tensor]] = WeakKeyDictionary()

    def bank(self, pool: AudioPool, samples: int) -> Tensor:
        """(responses, bins) the spectra of the pool's responses for a convolution with (B, samples)."""
        banks = self._banks.setdefault(pool, {})
        if samples not in banks:
            clips = pool.whole_clips(self.max_samples, self.kinds, self.for_queries if self.trim is None else self.trim)
            banks[samples] = torch.fft.rfft(clips[:, :samples], fft_length(samples, clips.shape[1], self.mode))
        return banks[samples]

    def draw(self, count, length, pool, rng):
        return {"response": torch.randint(len(self.bank(pool, length)), (count,), generator=rng)}

    def apply(self, x, draws, pool):
        bank = self.bank(pool, x.shape[1])
        n = 2 * (bank.shape[1] - 1)
        spectrum = torch.fft.rfft(x, n) * bank[draws["response"].to(bank.device)]
        return torch.fft.irfft(spectrum, n)[:, : x.shape[1]]


def fft_length(samples: int, taps: int, mode: str) -> int:
    """Length of the transforms that convolve ``samples`` with ``taps``; even."""
    if mode == "circular":
        return samples + samples % 2
    return 2 ** math.ceil(math.log2(samples + min(taps, samples) - 1))


@dataclass
class Gain(WaveStep):
    """Scale each replica to a peak uniform (in dB) in ``peak_db`` of full scale."""

    peak_db: Range = (-12, 0)

    def draw(self, count, length, pool, rng):
        return {"peak_db": uniform((count, 1), *self.peak_db, rng)}

    def apply(self, x, draws, pool):
        return scale_peak(x, 10 ** (draws["peak_db"].to(x.device) / 20), self.samples)


@dataclass
class LowPass(WaveStep):
    """A zero-phase Butterworth low-pass of the given order, its cutoff log-uniform in ``cutoff_hz`` (-3 dB there)."""

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


@dataclass
class Codec(WaveStep):
    """Code and decode each replica with one of the named codecs. Runs on the CPU, item by item: some ms each."""

    names: Sequence[str] = tuple(CODECS)

    def draw(self, count, length, pool, rng):
        return {"codec": torch.randint(len(self.names), (count,), generator=rng).numpy()}

    def apply(self, x, draws, pool):
        peak = x.abs().amax(dim=1, keepdim=True).clamp(min=1)  # a codec clips what is beyond full scale
        coded = code_and_decode((x / peak).cpu().numpy(), [self.names[i] for i in draws["codec"].tolist()])
        return torch.from_numpy(coded).to(x.device) * peak


# ---------------------------------------------------------------- the chain

STEPS = {
    "time_offset": TimeOffset,
    "splice": Splice,
    "background": Background,
    "speech": Speech,
    "impulse_response": ImpulseResponse,
    "gain": Gain,
    "low_pass": LowPass,
    "high_pass": HighPass,
    "codec": Codec,
    "cutout": Cutout,
    "frequency_mask": FrequencyMask,
    "time_mask": TimeMask,
}


class Chain:
    """An ordered list of steps from the config, ``[{"background": {"snr_db": [0, 10]}}, ...]``, with its pools.

    ``pools``: "bg", "ir", "speech" -> AudioPool, as far as the steps need them. ``samples``: of a segment, over which
    levels are measured. ``for_queries``: it makes queries, not replicas to train with (see ImpulseResponse).
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Mapping]],
        pools: Mapping[str, AudioPool] | None = None,
        samples: int = SEGMENT,
        for_queries: bool = False,
    ):
        self.pools = pools or {}
        built = [STEPS[name](**(settings or {})) for step in steps for name, settings in step.items()]
        self.crop, self.wave, self.image = ([s for s in built if s.stage == at] for at in ("crop", "wave", "image"))
        self.splice = next((s for s in built if s.stage == "splice"), None)
        for step in self.wave:
            step.samples, step.for_queries = samples, for_queries

    def draw_offsets(self, low: Tensor, high: Tensor, positives: int, rng: Generator, ids: Tensor) -> Tensor:
        """Bounds (B,), segment numbers (B,) -> (B, 1 + positives) offsets in samples; 0 without a time offset."""
        offsets = torch.zeros((len(low), 1 + positives), dtype=torch.long)
        for step in self.crop:
            offsets = step.draw(low, high, positives, rng, ids)
        return offsets

    def draw_wave(self, count: int, length: int, rng: Generator) -> list[dict[str, Tensor]]:
        """The random numbers of every wave step, for ``count`` rows of ``length`` samples."""
        return [
            step.draw(count, length, self.pools.get(step.pool), rng) | switched_on(count, step.p, rng)
            for step in self.wave
        ]

    def draw_image(self, shape: Sequence[int], rng: Generator) -> list[dict[str, Tensor]]:
        """The random numbers of every image step, for (B, mels, frames) images."""
        return [step.draw(shape, rng) | switched_on(shape[0], step.p, rng) for step in self.image]

    def degrade(self, x: Tensor, draws: Sequence[Draws]) -> Tensor:
        """(B, T) -> (B, T) the replicas' samples."""
        for step, drawn in zip(self.wave, draws, strict=True):
            x = where_on(x, step.apply(x, drawn, self.pools.get(step.pool)), drawn)
        return x

    def query(
        self, cut: Callable[[Tensor], Tensor], starts: Tensor, low: Tensor, high: Tensor, ids: Tensor, rng: Generator
    ) -> Tensor:
        """(B, T) one query of each of B places: displaced, degraded and spliced, as the steps say.

        ``cut``: places (n,) -> (n, T) samples; ``low``, ``high``: how far each place (B,) may move; ``ids``: its number.
        """
        offsets = self.draw_offsets(low, high, 1 if self.splice else 0, rng, ids)
        x = cut(starts + offsets[:, 0])
        x = self.degrade(x, self.draw_wave(len(x), x.shape[1], rng))
        if self.splice:
            rows, at = self.splice.draw(len(x), rng)
            if len(rows):
                other = cut((starts + offsets[:, 1])[rows])
                other = self.degrade(other, self.draw_wave(len(rows), other.shape[1], rng))
                rows, later = rows.to(x.device), (torch.arange(x.shape[1]) >= at).to(x.device)
                x[rows] = torch.where(later, other, x[rows])
        return x

    def mask(self, images: Tensor, draws: Sequence[Draws], batch_mean: BatchMean = torch.mean) -> Tensor:
        """(B, mels, frames) -> the same, with holes. ``batch_mean``: the mean of the batch that the images belong to."""
        for step, drawn in zip(self.image, draws, strict=True):
            images = where_on(images, step.apply(images, drawn, batch_mean), drawn)
        return images


def switched_on(count: int, p: float, rng: Generator) -> dict[str, Tensor]:
    """Which rows a step of probability ``p`` acts on: nothing to know if it acts on all."""
    return {} if p >= 1 else {"on": torch.rand(count, generator=rng) < p}


def where_on(before: Tensor, after: Tensor, draws: Draws) -> Tensor:
    """The rows of ``after`` where a step is on, else those of ``before``."""
    if "on" not in draws:
        return after
    return torch.where(draws["on"].to(before.device).view(-1, *[1] * (before.ndim - 1)), after, before)


def rows_of(draws: Sequence[Draws], rows: Tensor | slice) -> list[Draws]:
    """The draws of some rows of the batch."""
    of_arrays = rows if isinstance(rows, slice) else rows.numpy()
    return [
        {name: values[rows if isinstance(values, Tensor) else of_arrays] for name, values in drawn.items()}
        for drawn in draws
    ]
