"""Layers of the encoder with parameters that all matter, for tests of faster ways to compute them."""

import torch
from torch import Tensor

from nafp.model.encoders.separable_network import AxisConv, NormAndActivation

# Sizes of a layer: frequencies, times, channels in and out, axis of the convolution (1 frequency, 2 time), its stride
Sizes = tuple[int, int, int, int, int, int]
LAYERS: dict[str, Sizes] = {
    "first, as in the paper but narrow": (64, 32, 1, 16, 2, 2),
    "first, odd length, channels that are no power of two": (20, 5, 1, 48, 2, 2),
    "a tile of one item's rows": (128, 4, 16, 32, 1, 2),
    "rows of several items in a tile": (30, 5, 16, 16, 1, 2),
    "odd length along time": (16, 9, 32, 48, 2, 2),
    "stride 1, padding on both sides": (4, 2, 32, 16, 2, 1),
    "only the middle tap meets anything, stride 1": (4, 1, 16, 32, 2, 1),
    "only the middle tap meets anything, stride 2": (4, 1, 16, 32, 2, 2),
    "one row an item": (1, 1, 32, 64, 1, 2),
}


def layer_of(sizes: Sizes, variant: str, items: int) -> tuple[AxisConv, NormAndActivation, Tensor]:
    """A layer of these sizes and its input, (items, frequencies, times, channels)."""
    freq, time, c_in, c_out, axis, stride = sizes
    torch.manual_seed(0)
    conv = AxisConv(c_in, c_out, axis, (freq, time)[axis - 1], stride)
    shape = (conv.out_length, time) if axis == 1 else (freq, conv.out_length)
    norm = NormAndActivation((*shape, c_out), variant)
    for parameter in (conv.bias, norm.norm.weight, norm.norm.bias):
        torch.nn.init.normal_(parameter)
    return conv, norm, torch.randn(items, freq, time, c_in, requires_grad=True)


def gradients(z: Tensor, conv: AxisConv, norm: NormAndActivation, x: Tensor) -> list[Tensor]:
    """Those of all parameters, and of an input that needs one, for the same upstream gradient."""
    upstream = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
    wanted = [*conv.parameters(), *norm.parameters(), *([x] if x.requires_grad else [])]
    return torch.autograd.grad(z, wanted, upstream.to(z.dtype))


def relative(found: Tensor, right: Tensor) -> float:
    """The norm of the difference over that of the right one."""
    return float((found.detach().float() - right.detach().float()).norm() / right.detach().float().norm())
