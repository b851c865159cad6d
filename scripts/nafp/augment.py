"""The augmentation chain: from a segment of a song to its degraded replica (paper 3.3).

A chain is an ordered list of steps. A step is one small dataclass whose fields are its settings; it works on a whole
batch, on the device that holds it. All random numbers come from the generator that is passed in (on the CPU, so that
the same seed draws the same numbers on any device). Steps act in three places:

* ``crop``: where the anchor and its replica are cut out of the clip;
* ``wave``: the replica's samples, (B, T) float32;
* ``image``: the log-mel images of both, (B, mels, frames).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from nafp.corpus import SAMPLE_RATE, Split

Range = Sequence[float]


def uniform(shape: Sequence[int] | int, low, high, rng: Generator) -> Tensor:
    """Uniform numbers in [low, high) (bounds broadcast), drawn on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def integers(low: Tensor, high: Tensor, rng: Generator) -> Tensor:
    """One integer in [low, high] for each pair of bounds, both included."""
    return low + (torch.rand(low.shape, generator=rng, dtype=torch.float64) * (high - low + 1)).long()


def rms(x: Tensor) -> Tensor:
    """(B, T) -> (B, 1) root mean square."""
    return x.square().mean(dim=1, keepdim=True).sqrt()


def scale_peak(x: Tensor, peak: Tensor | float) -> Tensor:
    """Scale each row of (B, T) to a peak of ``peak``; silence stays silence."""
    present = x.abs().amax(dim=1, keepdim=True)
    return x * torch.where(present > 0, peak / present, 0)


class AudioPool:
    """A packed split as a source of excerpts: int16 on ``device``, cut out by index, returned as float32 in [-1, 1]."""

    def __init__(self, split: Split, device: torch.device | str = "cpu"):
        self.audio = torch.from_numpy(split.audio).to(device)
        self.start = torch.from_numpy(split.clips["start"].to_numpy().copy())
        self.samples = torch.from_numpy(split.clips["samples"].to_numpy().copy())
        self.kind = [path.split("/")[-2] for path in split.clips["path"]]
        self.device = device

    def cut(self, starts: Tensor, length: int) -> Tensor:
        """Excerpts of ``length`` samples from the given positions in the packed array: (B,) -> (B, length)."""
        return self.audio.unfold(0, length, 1)[starts.to(self.device)].float() / 32768

    def random_excerpts(self, count: int, length: int, rng: Generator) -> Tensor:
        """(count, length): a random place of a random clip each; a clip shorter than a segment ends in zeros."""
        clip = torch.randint(len(self.start), (count,), generator=rng)
        last = (self.samples[clip] - length).clamp(min=0)
        return self.cut(self.start[clip] + integers(torch.zeros_like(last), last, rng), length)

    def whole_clips(self, max_samples: int, kinds: Sequence[str] | None = None) -> Tensor:
        """(clips, longest) the clips' first ``max_samples`` samples, padded with zeros; only of the given kinds."""
        chosen = [i for i, kind in enumerate(self.kind) if not kinds or kind in kinds]
        if not chosen:
            raise ValueError(f"no clips of kind {', '.join(kinds or ['any'])}; the pool has {sorted(set(self.kind))}")
        lengths = [min(int(self.samples[i]), max_samples) for i in chosen]
        clips = torch.zeros(len(chosen), max(lengths), device=self.device)
        for row, i, n in zip(clips, chosen, lengths, strict=True):
            row[:n] = self.audio[self.start[i] : self.start[i] + n].float() / 32768
        return clips


@dataclass
class TimeOffset:
    """Cut the anchor up to ``max_s`` from its place and the replica up to ``max_s`` from the anchor, inside the clip."""

    stage = "crop"
    max_s: float = 0.2  # paper 3.3

    def __call__(self, low: Tensor, high: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Bounds (B,) of the offset in samples -> offsets (B,) of anchor and replica, in samples."""
        most = round(self.max_s * SAMPLE_RATE)
        anchor = integers(low.clamp(min=-most), high.clamp(max=most), rng)
        replica = integers(torch.maximum(low, anchor - most), torch.minimum(high, anchor + most), rng)
        return anchor, replica


@dataclass
class Background:
    """Add an excerpt of the pool at a signal-to-noise ratio uniform in ``snr_db``; the signal keeps its level."""

    stage = "wave"
    snr_db: Range = (0, 10)
    p: float = 1.0
    pool: str = field(default="bg", init=False)

    def __call__(self, x: Tensor, pools: Mapping[str, AudioPool], rng: Generator) -> Tensor:
        noise = pools[self.pool].random_excerpts(len(x), x.shape[1], rng).to(x.device)
        return mix_at_snr(x, noise, uniform((len(x), 1), *self.snr_db, rng).to(x.device))


def mix_at_snr(x: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """x + noise with the noise scaled to (B, 1) ``snr_db`` below the signal's RMS; silent noise adds nothing."""
    noise_rms = rms(noise)
    gain = torch.where(noise_rms > 0, rms(x) / noise_rms * 10 ** (-snr_db / 20), 0)
    return x + gain * noise


@dataclass
class Speech(Background):
    """Background speech, mixed as background noise is."""

    pool: str = field(default="speech", init=False)


@dataclass
class ImpulseResponse:
    """Convolve with a random impulse response of the given kinds (folder names: room, mic).

    ``linear`` cuts the tail at the segment's end; ``circular`` wraps it to the beginning, as the published code does
    with the first 600 samples.
    """

    stage = "wave"
    kinds: Sequence[str] | None = None
    mode: str = "linear"
    max_samples: int = SAMPLE_RATE
    p: float = 1.0
    pool: str = field(default="ir", init=False)

    def __post_init__(self):
        self._responses: dict[int, Tensor] = {}  # one bank per pool: reading it for each batch would dominate

    def __call__(self, x: Tensor, pools: Mapping[str, AudioPool], rng: Generator) -> Tensor:
        pool = pools[self.pool]
        if id(pool) not in self._responses:
            self._responses[id(pool)] = pool.whole_clips(self.max_samples, self.kinds).to(x.device)
        bank = self._responses[id(pool)]
        return convolve(x, bank[torch.randint(len(bank), (len(x),), generator=rng).to(x.device)], self.mode)


def convolve(x: Tensor, response: Tensor, mode: str = "linear") -> Tensor:
    """Convolve the rows of (B, T) with those of (B, L), by FFT; the result has x's length."""
    samples, taps = x.shape[1], response.shape[1]
    n = max(samples, taps) if mode == "circular" else 2 ** math.ceil(math.log2(samples + taps - 1))
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(response, n), n)[:, :samples]


@dataclass
class Gain:
    """Scale each replica to a peak uniform (in dB) in ``peak_db`` of full scale."""

    stage = "wave"
    peak_db: Range = (-12, 0)
    p: float = 1.0

    def __call__(self, x: Tensor, pools: Mapping[str, AudioPool], rng: Generator) -> Tensor:
        return scale_peak(x, 10 ** (uniform((len(x), 1), *self.peak_db, rng).to(x.device) / 20))


@dataclass
class Cutout:
    """Mask ``holes`` rectangles in each image, with sizes in mel bins and frames drawn from inclusive ranges.

    A size of None spans the axis. The centre is uniform and the hole is cut at the image's edges.
    """

    stage = "image"
    mels: Range | None = (25, 101)
    frames: Range | None = (3, 11)
    fill: str | Range = "min"  # min, mean, zeros (the loudest value of a log-mel image!), random, or a range
    holes: int = 1
    p: float = 1.0

    def __call__(self, images: Tensor, rng: Generator) -> Tensor:
        mask = self.mask(images.shape, rng).to(images.device)
        return torch.where(mask, fill_values(images, self.fill, rng), images)

    def mask(self, shape: Sequence[int], rng: Generator) -> Tensor:
        """(B, mels, frames) True where a hole is."""
        batch, n_mels, n_frames = shape
        mask = torch.zeros(shape, dtype=torch.bool)
        for _ in range(self.holes):
            rows = self.span(batch, n_mels, self.mels, rng)
            columns = self.span(batch, n_frames, self.frames, rng)
            mask |= rows[:, :, None] & columns[:, None, :]
        return mask

    @staticmethod
    def span(batch: int, length: int, sizes: Range | None, rng: Generator) -> Tensor:
        """(B, length) True within size // 2 of a random centre."""
        if sizes is None:
            return torch.ones(batch, length, dtype=torch.bool)
        half = torch.randint(int(sizes[0]), int(sizes[1]) + 1, (batch, 1), generator=rng) // 2
        centre = torch.randint(length, (batch, 1), generator=rng)
        return (torch.arange(length) - centre).abs() <= half


@dataclass
class FrequencyMask(Cutout):
    """Mask a band of mel bins over all frames ("horizontal" in the published code)."""

    mels: Range | None = (5, 19)
    frames: Range | None = field(default=None, init=False)


@dataclass
class TimeMask(Cutout):
    """Mask a run of frames over all mel bins ("vertical" in the published code)."""

    mels: Range | None = field(default=None, init=False)
    frames: Range | None = (5, 15)


def fill_values(images: Tensor, fill: str | Range, rng: Generator) -> Tensor:
    """What a hole contains, broadcastable to (B, mels, frames); ``min``, ``mean`` and ``random`` are of each image."""
    low = images.amin(dim=(1, 2), keepdim=True)
    if fill == "min":
        return low
    if fill == "mean":
        return images.mean(dim=(1, 2), keepdim=True)
    if fill == "zeros":
        return torch.zeros_like(low)
    noise = torch.rand(images.shape, generator=rng).to(images.device)
    if fill == "random":
        return low + (images.amax(dim=(1, 2), keepdim=True) - low) * noise
    return fill[0] + (fill[1] - fill[0]) * noise


STEPS = {
    "time_offset": TimeOffset,
    "background": Background,
    "speech": Speech,
    "impulse_response": ImpulseResponse,
    "gain": Gain,
    "cutout": Cutout,
    "frequency_mask": FrequencyMask,
    "time_mask": TimeMask,
}


class Chain:
    """An ordered list of steps from the config, ``[{"background": {"snr_db": [0, 10]}}, ...]``, with its pools.

    ``pools``: "bg", "ir", "speech" -> AudioPool, as far as the steps need them.
    """

    def __init__(self, steps: Sequence[Mapping[str, Mapping]], pools: Mapping[str, AudioPool] | None = None):
        self.pools = pools or {}
        built = [STEPS[name](**(settings or {})) for step in steps for name, settings in step.items()]
        self.crop, self.wave, self.image = ([s for s in built if s.stage == at] for at in ("crop", "wave", "image"))

    def offsets(self, low: Tensor, high: Tensor, rng: Generator) -> tuple[Tensor, Tensor]:
        """Bounds (B,) -> offsets (B,) in samples of anchor and replica; both 0 without a time offset."""
        offsets = torch.zeros_like(low), torch.zeros_like(low)
        for step in self.crop:
            offsets = step(low, high, rng)
        return offsets

    def degrade(self, x: Tensor, rng: Generator) -> Tensor:
        """(B, T) -> (B, T) the replica's samples."""
        for step in self.wave:
            x = sometimes(x, step(x, self.pools, rng), step.p, rng)
        return x

    def mask(self, images: Tensor, rng: Generator) -> Tensor:
        """(B, mels, frames) -> the same, with holes."""
        for step in self.image:
            images = sometimes(images, step(images, rng), step.p, rng)
        return images


def sometimes(before: Tensor, after: Tensor, p: float, rng: Generator) -> Tensor:
    """Take each item from ``after`` with probability ``p``, else from ``before``."""
    if p >= 1:
        return after
    chosen = torch.rand(len(before), *[1] * (before.ndim - 1), generator=rng) < p
    return torch.where(chosen.to(before.device), after, before)
