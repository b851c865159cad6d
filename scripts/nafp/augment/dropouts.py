"""Drop-outs: pieces of silence, as of packets that a network loses."""

import math
from dataclasses import dataclass

import torch

from nafp.audio.segments import SAMPLE_RATE
from nafp.augment.base import Range, WaveStep, uniform


@dataclass
class Dropouts(WaveStep):
    """Silence pieces of each replica: it is divided into pieces of a length uniform in ``length_s``, each lost by chance.

    ``share``: range of the probability that a piece is lost, which is the expected share of silence. Pieces begin anywhere, so
    the first one is cut by the replica's beginning; lost neighbours make longer gaps.
    """

    length_s: Range = (0.02, 0.1)
    share: Range = (0.05, 0.2)

    def draw(self, count, length, pool, rng):
        pieces = math.ceil(length / (self.length_s[0] * SAMPLE_RATE)) + 1
        return {
            "length": uniform((count, 1), *self.length_s, rng) * SAMPLE_RATE,
            "begin": torch.rand((count, 1), generator=rng),
            "lost": torch.rand((count, pieces), generator=rng) < uniform((count, 1), *self.share, rng),
        }

    def apply(self, x, draws, pool):
        length, begin, lost = (draws[name].to(x.device) for name in ("length", "begin", "lost"))
        piece = (torch.arange(x.shape[1], device=x.device) / length + begin).long()
        return x * ~lost.gather(1, piece)
