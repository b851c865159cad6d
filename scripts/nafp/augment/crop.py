"""Where anchors and replicas are cut out of a clip."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from nafp.audio.pools import integers
from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Range, uniform


@dataclass
class TimeOffset:
    """Cut the anchor up to ``max_s`` from its place and the replica up to ``max_s`` from the anchor, inside the clip.

    ``frozen``: a segment's offsets are the same in every epoch and run, as in the original code, which seeds its generator with
    the segment's number.
    """

    max_s: float = 0.2  # paper 3.3
    frozen: bool = False

    def draw(
        self,
        low: Tensor,
        high: Tensor,
        positives: int,
        rng: Generator,
        ids: Tensor | None = None,
        from_place: bool = False,
    ) -> Tensor:
        """Bounds (B,) of the offset in samples -> (B, 1 + positives) offsets of the anchor and of its replicas.

        ``from_place``: cut all of them up to ``max_s`` from the place, as crops of one query are.
        """
        most = round(self.max_s * SAMPLE_RATE)
        if self.frozen:
            u = np.stack([np.random.default_rng(int(i)).random(1 + positives) for i in ids])
            u = torch.from_numpy(u)
        else:
            u = torch.rand((len(low), 1 + positives), generator=rng, dtype=torch.float64)
        low, high = low[:, None], high[:, None]
        if from_place:
            return integers(low.clamp(min=-most), high.clamp(max=most), u)
        anchor = integers(low.clamp(min=-most), high.clamp(max=most), u[:, :1])
        replicas = integers(torch.maximum(low, anchor - most), torch.minimum(high, anchor + most), u[:, 1:])
        return torch.cat([anchor, replicas], dim=1)


@dataclass
class Splice:
    """From a point uniform in ``at_s`` on, replace the rest with a second, independently degraded crop of the anchor.

    Queries that are degraded second by second look like this wherever a segment crosses a boundary.
    """

    p: float = 0.3
    at_s: Range = (0.5, 0.5)

    def draw(self, count: int, rng: Generator) -> tuple[Tensor, Tensor]:
        """The spliced ones of ``count`` replicas: their numbers (m,), and the sample (m, 1) where the second crop begins."""
        rows = torch.nonzero(torch.rand(count, generator=rng) < self.p)[:, 0]
        return rows, (uniform((len(rows), 1), *self.at_s, rng) * SAMPLE_RATE).long()
