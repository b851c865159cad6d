"""Masks on log-mel images, also called spec-augment (paper 3.3): the ``image`` steps of a chain."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from nafp.augment.base import BatchMean, Draws, Range

ON_HOST = ("shift", "pattern")  # draws that seed noise made by the CPU, so that it is the same on every device


@dataclass
class Cutout:
    """Mask ``holes`` rectangles in each image, with sizes in mel bins and frames drawn from inclusive ranges.

    A size of None spans the axis. The centre is uniform and the hole is cut at the image's edges. ``shared`` draws one
    set of holes for the whole batch, as the original code does.
    """

    mels: Range | None = (25, 101)
    frames: Range | None = (3, 11)
    fill: str | Range = "min"  # a name of fill_values, or a range
    holes: int = 1
    shared: bool = False
    p: float = 1.0

    def draw(self, shape: Sequence[int], rng: Generator) -> dict[str, Tensor]:
        """Random numbers for (B, mels, frames) images, B rows each."""
        batch, n_mels, n_frames = shape
        drawn = 1 if self.shared else batch
        draws = {}
        for axis, length, sizes in (("mel", n_mels, self.mels), ("frame", n_frames, self.frames)):
            if sizes is not None:
                low, high = int(sizes[0]), int(sizes[1])
                draws[f"{axis}_half"] = torch.randint(low, high + 1, (drawn, self.holes), generator=rng) // 2
                draws[f"{axis}_centre"] = torch.randint(length, (drawn, self.holes), generator=rng)
        if self.fill == "random" or not isinstance(self.fill, str):
            draws["shift"] = torch.randint(n_mels * n_frames, (drawn, 1), generator=rng)
            draws["pattern"] = torch.randint(2**31, (1, 1), generator=rng).expand(drawn, 1)
        draws = {name: values.expand(batch, -1) for name, values in draws.items()}
        return {name: values.numpy() if name in ON_HOST else values for name, values in draws.items()}

    def apply(self, images: Tensor, draws: Draws, batch_mean: BatchMean = torch.mean) -> Tensor:
        """(B, mels, frames) -> the same, with holes."""
        return torch.where(self.mask(images, draws), fill_values(images, self.fill, draws, batch_mean), images)

    def mask(self, images: Tensor, draws: Draws) -> Tensor:
        """(B, mels, frames), or 1 where a hole spans the axis: True where a hole is."""
        inside = []
        for axis, length in (("mel", images.shape[1]), ("frame", images.shape[2])):
            if f"{axis}_half" in draws:
                half, centre = (draws[f"{axis}_{name}"].to(images.device)[:, :, None] for name in ("half", "centre"))
                inside.append((torch.arange(length, device=images.device) - centre).abs() <= half)  # (B, holes, length)
            else:
                inside.append(torch.ones(1, 1, 1, dtype=torch.bool, device=images.device))
        return (inside[0][:, :, :, None] & inside[1][:, :, None, :]).any(dim=1)


@dataclass
class FrequencyMask(Cutout):
    """Mask a band of mel bins over all frames ("horizontal" in the original code)."""

    mels: Range | None = (5, 19)
    frames: Range | None = field(default=None, init=False)


@dataclass
class TimeMask(Cutout):
    """Mask a run of frames over all mel bins ("vertical" in the original code)."""

    mels: Range | None = field(default=None, init=False)
    frames: Range | None = (5, 15)


def fill_values(images: Tensor, fill: str | Range, draws: Draws, batch_mean: BatchMean = torch.mean) -> Tensor:
    """The values inside holes, broadcastable to (B, mels, frames).

    ``min``, ``mean``: the image's. ``batch_mean``: the whole batch's, which the original code writes when told ``min``.
    ``zeros``: 0, the loudest value of a log-mel image. ``random``: noise over the image's range; a pair: noise over that
    range.
    """
    match fill:
        case "min":
            return images.amin(dim=(1, 2), keepdim=True)
        case "mean":
            return images.mean(dim=(1, 2), keepdim=True)
        case "batch_mean":
            return batch_mean(images).expand(len(images), 1, 1)
        case "zeros":
            return torch.zeros_like(images[:, :1, :1])
        case "random":
            low, high = images.amin(dim=(1, 2), keepdim=True), images.amax(dim=(1, 2), keepdim=True)
            return low + (high - low) * noise_patterns(images, draws)
    return fill[0] + (fill[1] - fill[0]) * noise_patterns(images, draws)


def noise_patterns(images: Tensor, draws: Draws) -> Tensor:
    """(B, mels, frames) uniform in [0, 1): one pattern a batch, shifted for each image."""
    pixels = images[0].numel()
    pattern = torch.rand(pixels, generator=torch.Generator().manual_seed(int(draws["pattern"][0, 0])))
    at = (torch.arange(pixels) + torch.from_numpy(draws["shift"])) % pixels
    return pattern[at].to(images.device).view(images.shape)
