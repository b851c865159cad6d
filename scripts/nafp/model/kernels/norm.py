"""Activation and layer norm of a layer on a GPU: what is computed by which programs, and the calls of their kernels."""

from dataclasses import dataclass
from math import prod

import torch
import triton
from torch import Tensor

from nafp.model.kernels.norm_kernels import (
    first_moments_kernel,
    join_moments_kernel,
    moments_kernel,
    norm_gradient_kernel,
    norm_sums_kernel,
    normalise_kernel,
)
from nafp.model.kernels.products import Axis, Moments

TILE, ROW = 2048, 256  # elements of an item that a program has in registers, in rows of a warp each
PART, FIRST_PARTS = 8192, 4  # elements whose moments a program takes together, and programs of an image
WHOLE_ITEM = 8192  # elements of the largest item that one program holds in registers and reads once
NORM_PROGRAMS, WHOLE_PROGRAMS = 1056, 264  # eight, or with whole items two, for each of an H100's multiprocessors


@dataclass(frozen=True)
class Tiles:
    """How the elements of items are shared by the programs of the norm: ``tiles`` of (R, C), ``groups`` of items."""

    items: int
    size: int
    channels: int  # (rows, channels) of an item where y is computed; otherwise a tile is one row
    R: int
    C: int
    whole: bool = False
    per_thread: int = 8  # elements

    @classmethod
    def of(cls, items: int, size: int, first_channels: int | None = None, per_thread: int = 8) -> "Tiles":
        """Tiles of eight warps, or of whole items; for the first layer of whole rows of its channels."""
        if first_channels:
            c = triton.next_power_of_2(first_channels)
            return cls(items, size, first_channels, max(TILE // 8 * per_thread // c, 1), c, False, per_thread)
        if size <= WHOLE_ITEM:
            c = triton.next_power_of_2(size)
            return cls(items, size, c, 1, c, True)
        return cls(items, size, ROW, TILE // ROW, ROW)

    @property
    def tiles(self) -> int:
        """Tiles of an item."""
        return triton.cdiv(self.size, self.R * self.channels)

    @property
    def per_group(self) -> int:
        """Items of a group: as many as leave enough programs to fill a GPU."""
        return triton.cdiv(self.items, max((WHOLE_PROGRAMS if self.whole else NORM_PROGRAMS) // self.tiles, 1))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """What every kernel is told of them."""
        return self.items, self.per_group, self.size, self.channels

    @property
    def grid(self) -> tuple[int, int]:
        """(tiles, groups)."""
        return self.tiles, triton.cdiv(self.items, self.per_group)

    @property
    def options(self) -> dict:
        """What every kernel is compiled for."""
        return {"R": self.R, "C": self.C, "num_warps": min(max(self.R * self.C // (32 * self.per_thread), 1), 16)}


@dataclass(frozen=True)
class Preactivation:
    """y of a layer: stored, (B, rows, channels), or what the first convolution makes of float32 images (B, F, T)."""

    tensor: Tensor
    weight: Tensor  # (channels, taps), like bias and axis only looked at of the first convolution
    bias: Tensor
    axis: Axis
    elu: bool
    first: bool

    @property
    def pointers(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of what it is made."""
        return self.tensor, self.weight, self.bias

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where the taps lie; of a stored one always the same, so that nothing is compiled anew."""
        return self.axis.place if self.first else (1, 1, 1, 0)

    @property
    def flags(self) -> dict[str, bool]:
        """What every kernel of the norm is compiled for."""
        return {"FIRST": self.first, "ELU": self.elu}

    def tiles(self, shape: tuple[int, ...], per_thread: int = 8) -> Tiles:
        """How the programs share its items of a shape (..., channels)."""
        size = prod(shape)
        return Tiles.of(len(self.tensor), size, shape[-1] if self.first else None, per_thread)


def moments_of(y: Preactivation, size: int) -> Moments:
    """The moments of the activations of items of ``size`` elements."""
    if y.first:
        return first_moments(y)
    parts = triton.cdiv(size, PART)
    moments = torch.empty((len(y.tensor), parts, 2), dtype=torch.float32, device=y.tensor.device)
    moments_kernel[(parts, len(y.tensor))](y.tensor, moments, size, parts, ELU=y.elu, BLOCK=PART, num_warps=8)
    return Moments(moments, PART)


def first_moments(y: Preactivation) -> Moments:
    """``moments_of`` what the first convolution makes of images."""
    images, axis, channels = y.tensor, y.axis, len(y.weight)
    c = triton.next_power_of_2(channels)
    r = max(PART // c, 16)
    each = triton.cdiv(triton.cdiv(axis.rows, FIRST_PARTS), r) * r
    parts = triton.cdiv(axis.rows, each)
    moments = torch.empty((len(images), parts, 2), dtype=torch.float32, device=images.device)
    even = axis.rows % each == 0 and channels == c
    first_moments_kernel[(parts, len(images))](
        *y.pointers, moments, axis.rows, channels, each, *axis.place, ELU=y.elu, EVEN=even, R=r, C=c, num_warps=4
    )
    return Moments(moments, each * channels)


def normalise(
    y: Preactivation, moments: Moments | None, scale: Tensor, shift: Tensor, epsilon: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """z (B, *shape of scale) of ``dtype``, and the mean and 1 / standard deviation of each item (B,).

    ``moments``: those of y, if they are known.
    """
    items, size, device = len(y.tensor), scale.numel(), y.tensor.device
    tiles = y.tiles(scale.shape, per_thread=16 if y.first else 8)
    mean, rstd = torch.empty((2, items), dtype=torch.float32, device=device)
    if not tiles.whole:
        moments = moments or moments_of(y, size)
        parts = moments.parts.shape[1]
        join_moments_kernel[(items,)](
            moments.parts, mean, rstd, size, parts, moments.per_part, epsilon, PARTS=triton.next_power_of_2(parts)
        )
    z = torch.empty((items, *scale.shape), dtype=dtype, device=device)
    normalise_kernel[tiles.grid](
        *y.pointers, scale, shift, z, mean, rstd, *tiles.counts, epsilon, *y.place,
        WHOLE=tiles.whole, **y.flags, **tiles.options,
    )  # fmt: skip
    return z, mean, rstd


def norm_gradients(
    dz: Tensor, y: Preactivation, mean: Tensor, rstd: Tensor, scale: Tensor, shift: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """dy like y, and the gradients of scale, shift and of the convolution's bias.

    Of the first layer, the gradient of the convolution's weight (channels, taps) is in the place of dy.
    """
    items, channels, device = len(y.tensor), scale.shape[-1], dz.device
    tiles = y.tiles(scale.shape)
    of_groups = torch.empty((3, tiles.grid[1], tiles.size), dtype=torch.float32, device=device)
    parts = tiles.tiles * tiles.R
    sums = None if tiles.whole else torch.empty((2, items, parts), dtype=torch.float32, device=device)
    if y.first:
        out = torch.empty((tiles.grid[0] * tiles.grid[1], 4, channels), dtype=torch.float32, device=device)
    else:
        out = torch.empty_like(y.tensor)
    given = (dz, *y.pointers, mean, rstd, scale, shift)
    norm_sums_kernel[tiles.grid](
        *given, out, sums, of_groups, *tiles.counts, parts, *y.place, WHOLE=tiles.whole, **y.flags, **tiles.options
    )
    if not tiles.whole:
        norm_gradient_kernel[tiles.grid](
            *given, sums.sum(2), out, of_groups[2], *tiles.counts, *y.place, **y.flags, **tiles.options
        )
    if y.first:
        dscale, dshift = of_groups[:2].sum(1)
        of_taps = out.sum(0)  # (4, channels)
        out, of_bias = of_taps[:3].T.contiguous(), of_taps[3]
    else:
        dscale, dshift, of_bias = of_groups.sum(1)
        of_bias = of_bias.view(-1, channels).sum(0)
    return out, dscale.view_as(scale), dshift.view_as(shift), of_bias
