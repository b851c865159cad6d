"""The augmentation chain: from a segment of a song to its degraded replica (paper 3.3).

A chain is an ordered list of steps (``steps.STEPS``). They act on the crop out of the clip, on its speed, on the replica's
samples (B, T), of which the last second is the segment and the rest its context, and on the log-mel images (B, mels, frames)
of both. All random numbers of a batch are drawn on the CPU first and applied on the device afterwards (see ``base``).
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SEGMENT
from nafp.augment.base import BatchMean, Draws
from nafp.augment.steps import STEPS, with_options
from nafp.augment.time import TimeSteps


class Chain:
    """An ordered list of steps from the config, ``[{"background": {"snr_db": [0, 10]}}, ...]``, with its pools.

    ``pools``: "bg", "ir", "speech", "train" -> AudioPool, as far as the steps need them. ``samples``: length of a segment,
    over which levels are measured. ``for_queries``: whether it makes queries, or replicas to train with (see ImpulseResponse).
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Mapping]],
        pools: Mapping[str, AudioPool] | None = None,
        samples: int = SEGMENT,
        for_queries: bool = False,
    ):
        pools = pools or {}
        built = [(STEPS[name], STEPS[name].load()(**options)) for name, options in with_options(steps)]
        self.crop = [step for kind, step in built if kind.stage == "crop"]
        self.time = TimeSteps([step for kind, step in built if kind.stage == "time"])
        self.splice = next((step for kind, step in built if kind.stage == "splice"), None)
        self.wave = [(step, pools.get(kind.pool)) for kind, step in built if kind.stage == "wave"]
        self.image = [step for kind, step in built if kind.stage == "image"]
        for step, _ in self.wave:
            step.samples, step.for_queries = samples, for_queries

    def draw_offsets(
        self, low: Tensor, high: Tensor, positives: int, rng: Generator, ids: Tensor, from_place: bool = False
    ) -> Tensor:
        """Bounds (B,), segment numbers (B,) -> (B, 1 + positives) offsets in samples; 0 without a time offset.

        ``from_place``: see ``crop.TimeOffset``.
        """
        offsets = torch.zeros((len(low), 1 + positives), dtype=torch.long)
        for step in self.crop:
            offsets = step.draw(low, high, positives, rng, ids, from_place)
        return offsets

    def draw_wave(self, count: int, length: int, rng: Generator, own: Tensor | None = None) -> list[dict[str, Tensor]]:
        """The random numbers of every wave step, for ``count`` rows of ``length`` samples.

        ``own``: (count,) numbers of the training clips that the rows are cut from, if they are.
        """
        drawn = []
        for step, pool in self.wave:
            about = {"own": own} if step.avoids_own else {}
            drawn.append(step.draw(count, length, pool, rng, **about) | switched_on(count, step.p, rng))
        return drawn

    def draw_image(self, shape: Sequence[int], rng: Generator) -> list[dict[str, Tensor]]:
        """The random numbers of every image step, for (B, mels, frames) images."""
        return [step.draw(shape, rng) | switched_on(shape[0], step.p, rng) for step in self.image]

    def degrade(self, x: Tensor, draws: Sequence[Draws]) -> Tensor:
        """(B, T) -> (B, T) the replicas' samples."""
        for (step, pool), drawn in zip(self.wave, draws, strict=True):
            x = where_on(x, step.apply(x, drawn, pool), drawn)
        return x

    def query(
        self,
        cut: Callable[[Tensor, Tensor | slice], Tensor],
        starts: Tensor,
        low: Tensor,
        high: Tensor,
        ids: Tensor,
        rng: Generator,
    ) -> Tensor:
        """(B, T) one query for each of B places: displaced, degraded and spliced by the steps.

        ``cut``: places (n,), and which of the B they are of -> (n, T) samples, which have been through the steps on time;
        ``low``, ``high``: bounds (B,) of each place's offset; ``ids``: its number.
        """
        offsets = self.draw_offsets(low, high, 1 if self.splice else 0, rng, ids, from_place=True)
        x = cut(starts + offsets[:, 0], slice(None))
        x = self.degrade(x, self.draw_wave(len(x), x.shape[1], rng))
        if self.splice:
            rows, at = self.splice.draw(len(x), rng)
            if len(rows):
                other = cut((starts + offsets[:, 1])[rows], rows)
                other = self.degrade(other, self.draw_wave(len(rows), other.shape[1], rng))
                rows, later = rows.to(x.device), (torch.arange(x.shape[1]) >= at).to(x.device)
                x[rows] = torch.where(later, other, x[rows])
        return x

    def mask(self, images: Tensor, draws: Sequence[Draws], batch_mean: BatchMean = torch.mean) -> Tensor:
        """(B, mels, frames) -> the same, with holes. ``batch_mean``: mean of the batch that the images are a part of."""
        for step, drawn in zip(self.image, draws, strict=True):
            images = where_on(images, step.apply(images, drawn, batch_mean), drawn)
        return images


def switched_on(count: int, p: float, rng: Generator) -> dict[str, Tensor]:
    """The rows (count,) that a step of probability ``p`` acts on, as "on"; nothing if it acts on all."""
    return {} if p >= 1 else {"on": torch.rand(count, generator=rng) < p}


def where_on(before: Tensor, after: Tensor, draws: Draws) -> Tensor:
    """The rows of ``after`` where a step is on, else those of ``before``."""
    if "on" not in draws:
        return after
    return torch.where(draws["on"].to(before.device).view(-1, *[1] * (before.ndim - 1)), after, before)


def draws_of_rows(draws: Sequence[Draws], rows: Tensor | slice) -> list[Draws]:
    """The draws of some rows of the batch."""
    of_arrays = rows if isinstance(rows, slice) else rows.numpy()
    return [
        {name: values[rows if isinstance(values, Tensor) else of_arrays] for name, values in drawn.items()}
        for drawn in draws
    ]
