"""The separable-convolution encoder as a PyTorch module (paper 3.2, Table 1).

Activations are kept as (batch, frequency, time, channel) in memory: that is PyTorch's ``channels_last`` seen through
a permutation, so convolutions and layer norms both work without copies.
"""

from collections.abc import Sequence
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nafp import compute
from nafp.model.encoders import separable_layer
from nafp.model.encoders.network import EncoderNetwork
from nafp.model.shapes import NORM_EPSILON, Block, same_padding

CHANNELS_OF_KERNELS = 16  # channels of a tile in nafp.model.kernels, which need a multiple of them
PRODUCT_CHANNELS = (
    64  # fewest channels of which a convolution on a CPU is faster as a product, in bfloat16 or without gradients
)


class AxisConv(nn.Module):
    """Convolution of length 3 along frequency (axis 1) or time (axis 2) of (B, F, T, C), with "SAME" padding."""

    def __init__(self, c_in: int, c_out: int, axis: int, length: int, stride: int):
        super().__init__()
        self.axis = axis
        self.stride = (stride, 1) if axis == 1 else (1, stride)
        self.out_length, self.before, self.after = same_padding(length, stride)
        kernel = (3, 1) if axis == 1 else (1, 3)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *kernel, memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        if self.out_length == 1:
            return self.product(x, weight, bias)
        x, before = x.permute(0, 3, 1, 2), self.before
        if before < self.after and x.shape[1] > 1:
            # a tap of zeros before the others: what PyTorch itself pads, alike on both sides, copies no x
            weight, before = self.padded(weight, 1, 0), 1
        if before < self.after:
            x, before = self.padded(x, before, self.after), 0
        y = F.conv2d(x, weight, bias, self.stride, (before, 0) if self.axis == 1 else (0, before))
        return y.permute(0, 2, 3, 1)

    def product(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The one output along the axis: a matrix product of the taps that meet x, and faster as such.

        And right: with AMX, oneDNN's bfloat16 convolution (torch 2.11) gives noise or NaN for outputs of width 1.
        """
        length, dim = x.shape[self.axis], self.axis + 1
        taps = weight.narrow(dim, self.before, length).movedim(dim, 1).flatten(1)
        return F.linear(x.movedim(self.axis, 2).flatten(2), taps, bias).unsqueeze(self.axis)

    def padded(self, x: Tensor, before: int, after: int) -> Tensor:
        """x (..., F, T), or a kernel, between zeros along the axis."""
        return F.pad(x, (0, 0, before, after) if self.axis == 1 else (before, after))


class NormAndActivation(nn.Module):
    """``release``: ELU, then LayerNorm; ``paper``: LayerNorm, then ReLU. The norm covers (F, T, C) of an item.

    The activation overwrites its input, which no gradient needs: a third less memory for training.
    """

    def __init__(self, shape: tuple[int, int, int], variant: str):
        super().__init__()
        self.norm = nn.LayerNorm(shape, eps=NORM_EPSILON)
        self.release = variant == "release"

    def forward(self, x: Tensor) -> Tensor:
        if self.release:
            x = F.elu(x, inplace=True)
        norm = self.norm
        x = F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)
        return x if self.release else F.relu(x, inplace=True)


class SeparableNetwork(EncoderNetwork, nn.Sequential):
    """(B, mels, frames) log-mel images -> (B, features) float32: f of the paper, which the heads divide.

    ``dtype``: type of the arithmetic; parameters and results stay float32. ``backend``: ``triton`` has the kernels of
    ``nafp.model.kernels`` on a GPU, ``layers`` the functions of ``separable_layer`` on a CPU.
    """

    def __init__(self, blocks: Sequence[Block], variant: str):
        layers: list[nn.Module] = []
        for block in blocks:
            along_time = AxisConv(block.c_in, block.c_out, 2, block.time_in, block.stride)
            along_freq = AxisConv(block.c_out, block.c_out, 1, block.freq_in, 2)
            layers += [along_time, NormAndActivation((block.freq_in, block.time, block.c_out), variant)]
            layers += [along_freq, NormAndActivation((block.freq, block.time, block.c_out), variant)]
        super().__init__(*layers)
        self.multiple = gcd(*(block.c_out for block in blocks))

    def backend_for(self, device: torch.device) -> str:
        if device.type == "cpu":
            return "layers"
        return "triton" if compute.runs_kernels(device) and self.multiple % CHANNELS_OF_KERNELS == 0 else "eager"

    def layers(self) -> list[tuple[AxisConv, NormAndActivation]]:
        """Each convolution with the norm and activation that follow it."""
        modules = list(self)
        return list(zip(modules[::2], modules[1::2], strict=True))

    def forward(self, log_mel: Tensor) -> Tensor:
        x = log_mel.unsqueeze(-1)
        if self.backend == "layers":
            x = self.by_layers(x.to(self.dtype))
        elif self.backend == "triton":
            from nafp.model.kernels.layer import layer  # Triton, which only a GPU needs

            for conv, norm in self.layers():
                x = layer(x, conv, norm, self.dtype)
        else:
            x = super().forward(x.to(self.dtype))
        return x.flatten(1).float()

    def by_layers(self, x: Tensor) -> Tensor:
        """Each layer as one function, but for narrow ones in bfloat16 or without gradients, whose convolutions are faster."""
        for conv, norm in self.layers():
            if conv.weight.shape[0] < PRODUCT_CHANNELS and (x.dtype == torch.bfloat16 or not torch.is_grad_enabled()):
                x = norm(conv(x))
            else:
                x = separable_layer.layer(x, conv, norm)
        return x
