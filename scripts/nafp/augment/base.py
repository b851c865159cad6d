"""What augmentation steps share: their interface, and how random numbers are drawn.

A step is a small dataclass whose fields are its options. ``draw`` takes the random numbers of a whole batch from a CPU
generator, so that one seed means the same on every device and for every division of the batch; ``apply`` uses them on the
batch, or on some of its rows, on the device that holds it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Generator, Tensor

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SEGMENT

Range = Sequence[float]
Draws = Mapping[str, Tensor | np.ndarray]  # (B, ...) each; tensors are sent to the device, arrays are used by the CPU
BatchMean = Callable[[Tensor], Tensor]  # (B, mels, frames), perhaps a part of a batch -> the mean of the whole batch


def uniform(shape: Sequence[int] | int, low, high, rng: Generator) -> Tensor:
    """Uniform numbers in [low, high) (bounds broadcast), drawn on the CPU."""
    return low + (high - low) * torch.rand(shape, generator=rng)


def rms(x: Tensor, samples: int = SEGMENT) -> Tensor:
    """(B, T) -> (B, 1) root mean square of the segment, the last ``samples``."""
    return x[:, -samples:].square().mean(dim=1, keepdim=True).sqrt()


def peak_of(x: Tensor, samples: int = SEGMENT) -> Tensor:
    """(B, T) -> (B, 1) largest magnitude of the segment, the last ``samples``."""
    return x[:, -samples:].abs().amax(dim=1, keepdim=True)


@dataclass
class WaveStep(ABC):
    """A step on samples: (B, T) in, (B, T) out.

    ``p``: the probability that it acts on a row. ``samples``: length of the segment, the end of T; what precedes it is
    context. ``for_queries``: whether it makes queries. The chain sets both. ``avoids_own``: whether ``draw`` takes ``own``
    too, the clips (count,) of the pool that the rows are cut from, so as to leave them out; None: they are from elsewhere.
    """

    p: float = 1.0
    samples: int = field(default=SEGMENT, init=False)
    for_queries: bool = field(default=False, init=False)
    avoids_own = False

    def draw(self, count: int, length: int, pool: AudioPool | None, rng: Generator) -> dict[str, Tensor]:
        """Random numbers for ``count`` rows of ``length`` samples: name -> (count, ...)."""
        return {}

    @abstractmethod
    def apply(self, x: Tensor, draws: Draws, pool: AudioPool | None) -> Tensor:
        """(B, T) -> (B, T), with the draws of these rows."""
