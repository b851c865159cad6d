"""Background noise, speech and other songs, added at a drawn signal-to-noise ratio."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nafp.audio.segments import SEGMENT
from nafp.augment.base import Range, WaveStep, rms, uniform


@dataclass
class Noise(WaveStep):
    """Add an excerpt of the pool at a signal-to-noise ratio uniform in ``snr_db``; the signal keeps its level.

    A sound shorter than the signal is repeated.

    ``over``: what the levels are measured over, the ``segment`` or, as NMFP does, the ``context`` before it too.
    """

    snr_db: Range = (0, 10)
    over: str = "segment"

    def draw(self, count, length, pool, rng, own=None):
        starts = pool.random_starts(count, length, rng, own)
        places = {"start": pool.places(starts), "samples": pool.places(pool.samples_of(starts))}
        return {**places, "snr_db": uniform((count, 1), *self.snr_db, rng)}

    def apply(self, x, draws, pool):
        samples = self.samples if self.over == "segment" else x.shape[1]
        noise = pool.cut_repeated(draws["start"], x.shape[1], draws["samples"])
        return mix_at_snr(x, noise, draws["snr_db"].to(x.device), samples)


@dataclass
class SecondSong(Noise):
    """Two songs at once: ``Noise`` of training songs, in training of others than the replica's own.

    Queries are mixed with training songs too: no database has those, so the query's own song is the only right answer.
    """

    avoids_own = True


def mix_at_snr(x: Tensor, noise: Tensor, snr_db: Tensor, samples: int = SEGMENT) -> Tensor:
    """x + noise with the noise scaled to (B, 1) ``snr_db`` below the segment's RMS; silent noise adds nothing."""
    # torchaudio.functional.add_noise gives NaN for silent noise, and measures the context before the segment too
    noise_rms = rms(noise, samples)
    gain = torch.where(noise_rms > 0, rms(x, samples) / noise_rms * 10 ** (-snr_db / 20), 0)
    return x + gain * noise
