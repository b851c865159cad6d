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
PRODUCT_CHANNELS = 64  # fewest channels of which a bfloat16 convolution on a CPU is faster as a product


class AxisConv(nn.Module):
    """Convolution of length 3 along frequency (axis 1) or time (axis 2) of (B, F, T, C), with "SAME" padding."""

    def __init__(self, c_in: int, c_out: int, axis: int, length: int, stride: int):
        super().__init__()
        self.axis = axis
        self.stride = (stride, 1) if axis == 1 else (1, stride)
        self.out_length, before, after = same_padding(length, stride)
        self.padding = (0, 0, before, after) if axis == 1 else (before, after, 0, 0)
        kernel = (3, 1) if axis == 1 else (1, 3)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, *kernel, memory_format=torch.channels_last))
        self.bias = nn.Parameter(torch.zeros(c_out))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        y = F.conv2d(F.pad(x.permute(0, 3, 1, 2), self.padding), weight, bias, self.stride)
        return y.permute(0, 2, 3, 1)


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
        """Each layer as one function, but for narrow ones in bfloat16, whose convolutions are faster than products."""
        for conv, norm in self.layers():
            if x.dtype == torch.bfloat16 and conv.weight.shape[0] < PRODUCT_CHANNELS:
                x = norm(conv(x))
            else:
                x = separable_layer.layer(x, conv, norm)
        return x
