"""Levels: a peak that is set, and a gain."""

from dataclasses import dataclass

import torch
from torch import Tensor

from nafp.audio.segments import SEGMENT
from nafp.augment.base import Range, WaveStep, peak_of, uniform


@dataclass
class PeakNormalize(WaveStep):
    """Scale each replica to a peak uniform (in dB) in ``peak_db`` of full scale."""

    peak_db: Range = (-12, 0)

    def draw(self, count, length, pool, rng):
        return {"peak_db": uniform((count, 1), *self.peak_db, rng)}

    def apply(self, x, draws, pool):
        return scale_peak(x, 10 ** (draws["peak_db"].to(x.device) / 20), self.samples)


def scale_peak(x: Tensor, peak: Tensor | float, samples: int = SEGMENT) -> Tensor:
    """Scale each row of (B, T) to a peak of ``peak`` in its segment, the last ``samples``; silence stays silence."""
    present = peak_of(x, samples)
    return x * torch.where(present > 0, peak / present, 0)


@dataclass(kw_only=True)
class Gain(WaveStep):
    """Amplify each replica by a gain uniform in ``db``; samples may exceed full scale."""

    db: Range  # without a default: before peak_normalize had its name, "gain" without options was that step

    def draw(self, count, length, pool, rng):
        return {"db": uniform((count, 1), *self.db, rng)}

    def apply(self, x, draws, pool):
        return x * 10 ** (draws["db"].to(x.device) / 20)
