"""Impulse responses of rooms and microphones, and what they hear of the context."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Range, WaveStep


@dataclass
class ImpulseResponse(WaveStep):
    """Convolve with a random impulse response of the given kinds (folder names: room, mic).

    ``mode``: ``linear`` cuts the tail at the segment's end; ``circular`` wraps it to the beginning, as the original code does
    with the first 600 samples. ``max_samples``: length to which responses are cut; None: whole. ``trim``: drop what precedes
    the direct sound, which would delay the replica; None: in queries only, since the original code trains without.
    ``rt60_s``: only responses with a reverberation time in this range (``nafp.audio.reverberation``).
    """

    kinds: Sequence[str] | None = None
    mode: str = "linear"
    max_samples: int | None = SAMPLE_RATE
    trim: bool | None = None
    rt60_s: Range | None = None

    def __post_init__(self):
        # Spectra by pool and length: torchaudio's fftconvolve transforms the responses for each batch, six times slower.
        self._banks: WeakKeyDictionary[AudioPool, dict[int, Tensor]] = WeakKeyDictionary()

    def bank(self, pool: AudioPool, samples: int) -> Tensor:
        """(responses, bins) the spectra of the pool's responses for a convolution with (B, samples)."""
        banks = self._banks.setdefault(pool, {})
        if samples not in banks:
            trim = self.for_queries if self.trim is None else self.trim
            clips = pool.whole_clips(self.max_samples, self.kinds, trim, self.rt60_s)
            banks[samples] = torch.fft.rfft(clips[:, :samples], fft_length(samples, clips.shape[1], self.mode))
        return banks[samples]

    def draw(self, count, length, pool, rng):
        return {"response": torch.randint(len(self.bank(pool, length)), (count,), generator=rng)}

    def apply(self, x, draws, pool):
        bank = self.bank(pool, x.shape[1])
        n = 2 * (bank.shape[1] - 1)
        spectrum = torch.fft.rfft(x, n) * bank[draws["response"].to(bank.device)]
        return torch.fft.irfft(spectrum, n)[:, : x.shape[1]]


@dataclass
class DropContext(WaveStep):
    """Silence the context before the segment, so that later steps do not hear it: a microphone in NMFP."""

    def apply(self, x, draws, pool):
        return torch.nn.functional.pad(x[:, -self.samples :], (x.shape[1] - self.samples, 0))


def fft_length(samples: int, taps: int, mode: str) -> int:
    """Even length of the transforms that convolve ``samples`` with ``taps``."""
    if mode == "circular":
        return samples + samples % 2
    return 2 ** math.ceil(math.log2(samples + min(taps, samples) - 1))
