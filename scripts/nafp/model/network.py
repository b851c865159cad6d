"""The fingerprinter: separable-convolution encoder and divide-and-encode heads (paper 3.2, Table 1).

Activations are kept as (batch, frequency, time, channel) in memory: that is PyTorch's ``channels_last`` seen through
a permutation, so convolutions and layer norms both work without copies.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nafp.model.shapes import CHANNEL_FACTORS, CHANNELS_OF_KERNELS, TIME_STRIDES, check_heads, same_padding

HEAD_UNITS = 32
NORM_EPSILON = 1e-3
VARIANTS = ("release", "paper")
MATMUL_CHANNELS = 64  # from here on a bfloat16 convolution on a CPU is faster as a matrix product (benchmarks/train.md)


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
        if x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.shape[-1] >= MATMUL_CHANNELS:
            return self.as_matmul(x, weight, bias)
        y = F.conv2d(F.pad(x.permute(0, 3, 1, 2), self.padding), weight, bias, self.stride)
        return y.permute(0, 2, 3, 1)

    def as_matmul(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The convolution as a product with the three shifted slices of x, side by side."""
        before, after = self.padding[:2] if self.axis == 2 else self.padding[2:]
        padded = F.pad(x, (0, 0, before, after) if self.axis == 2 else (0, 0, 0, 0, before, after))
        stride = max(self.stride)
        ends = range(stride * (self.out_length - 1) + 1, stride * (self.out_length - 1) + 4)
        slices = [
            padded[:, k:end:stride] if self.axis == 1 else padded[:, :, k:end:stride] for k, end in enumerate(ends)
        ]
        return F.linear(torch.cat(slices, dim=-1), weight.flatten(2).permute(0, 2, 1).flatten(1), bias)


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


class DivideAndEncode(nn.Module):
    """Each of ``dim`` outputs is encoded from its own slice of the features by a two-layer perceptron (paper 3.2)."""

    def __init__(self, features: int, dim: int):
        super().__init__()
        self.weight1 = nn.Parameter(torch.empty(dim, features // dim, HEAD_UNITS))
        self.bias1 = nn.Parameter(torch.zeros(dim, HEAD_UNITS))
        self.weight2 = nn.Parameter(torch.empty(dim, HEAD_UNITS))
        self.bias2 = nn.Parameter(torch.zeros(dim))
        for head in range(dim):
            nn.init.xavier_uniform_(self.weight1[head])
            nn.init.xavier_uniform_(self.weight2[head, :, None])

    def forward(self, x: Tensor) -> Tensor:
        slices = x.unflatten(1, (self.weight1.shape[0], -1))
        hidden = F.elu(torch.einsum("bds,dsh->bdh", slices, self.weight1) + self.bias1)
        return (hidden * self.weight2).sum(-1) + self.bias2


class Fingerprinter(nn.Module):
    """(B, mels, frames) log-mel images -> (B, dim) float32 unit vectors.

    ``width`` is the number of channels of the first block (128 in the paper). The default has 16,939,008 parameters:
    the layer norms hold a scale and an offset for every frequency, time and channel. ``dtype`` is what the encoder
    computes in; parameters, heads and the result stay float32. ``fused``: whether it does so by the kernels of
    ``nafp.model.kernels``, which a ``fusible`` one can on a GPU.
    """

    def __init__(
        self, dim: int = 128, width: int = 128, variant: str = "release", n_mels: int = 256, n_frames: int = 32
    ):
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"unknown model variant {variant!r}; known: {', '.join(VARIANTS)}")
        layers: list[nn.Module] = []
        freq, time, c_in = n_mels, n_frames, 1
        for factor, stride in zip(CHANNEL_FACTORS, TIME_STRIDES, strict=True):
            c_out = factor * width
            along_time = AxisConv(c_in, c_out, 2, time, stride)
            time = along_time.out_length
            along_freq = AxisConv(c_out, c_out, 1, freq, 2)
            layers += [along_time, NormAndActivation((freq, time, c_out), variant)]
            freq = along_freq.out_length
            layers += [along_freq, NormAndActivation((freq, time, c_out), variant)]
            c_in = c_out
        self.encoder = nn.Sequential(*layers)
        self.dtype, self.fused = torch.float32, False
        check_heads(dim, width, freq * time * c_in)
        self.heads = DivideAndEncode(freq * time * c_in, dim)
        self.dim, self.fusible = dim, width % CHANNELS_OF_KERNELS == 0

    def encode(self, log_mel: Tensor) -> Tensor:
        """(B, mels, frames) -> (B, features) float32: f of the paper, what the heads divide."""
        x = log_mel.unsqueeze(-1)
        if not self.fused:
            return self.encoder(x.to(self.dtype)).flatten(1).float()
        from nafp.model.kernels.layer import layer  # Triton, which only a GPU needs

        for conv, norm in zip(self.encoder[::2], self.encoder[1::2], strict=True):
            x = layer(x, conv, norm, self.dtype)
        return x.flatten(1).float()

    def forward(self, log_mel: Tensor) -> Tensor:
        return F.normalize(self.heads(self.encode(log_mel)), eps=1e-6)
