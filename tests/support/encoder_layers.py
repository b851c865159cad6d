"""Layers of the encoder with parameters that all matter, for tests of faster ways to compute them."""

import torch
from torch import Tensor

from nafp.model.encoders.separable_network import AxisConv, NormAndActivation

Sizes = tuple[
    int, int, int, int, int, int
]  # frequencies, times, channels in and out, axis of the convolution (1: frequency), stride


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
