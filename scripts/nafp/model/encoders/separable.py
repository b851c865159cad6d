"""The paper's encoder (3.2, Table 1), without PyTorch: blocks of a convolution along time and one along frequency."""

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

from nafp.errors import UserError
from nafp.model.shapes import Block, Image, same_padding
from nafp.options import option

if TYPE_CHECKING:
    from torch import nn

CHANNEL_FACTORS = (1, 1, 2, 2, 4, 4, 8, 8)  # channels of each block in widths
TIME_STRIDES = (2, 2, 2, 2, 1, 2, 1, 2)  # strides of the 1x3 convolutions; all 3x1 convolutions have stride 2
KERNEL = 3
VARIANTS = ["release", "paper"]


@dataclass(frozen=True)
class Separable:
    """``width``: channels of the first block. ``variant``: ``release`` has ELU, then LayerNorm; ``paper`` LayerNorm, then ReLU.

    The paper's width, 128, has 16,939,008 parameters with the heads for 128 dimensions: a layer norm has a scale and an offset
    for every frequency, time and channel.
    """

    width: int = option({"type": "integer", "minimum": 1, "maximum": 1024}, "channels of the first block", 128)
    variant: str = option({"enum": VARIANTS}, "order of norm and activation", "release")

    def __post_init__(self):
        if self.variant not in VARIANTS:
            raise UserError(f"model.variant: unknown variant {self.variant!r}; known: {', '.join(VARIANTS)}")

    def blocks(self, image: Image) -> list[Block]:
        """The sizes of the blocks for an image."""
        (freq, time), c_in, found = image, 1, []
        for factor, stride in zip(CHANNEL_FACTORS, TIME_STRIDES, strict=True):
            c_out, half, out = factor * self.width, same_padding(freq, 2)[0], same_padding(time, stride)[0]
            found.append(Block(c_in, c_out, freq, time, stride, half, out))
            freq, time, c_in = half, out, c_out
        return found

    def features(self, image: Image) -> int:
        """Number of features of an image, which the heads divide among them."""
        last = self.blocks(image)[-1]
        return last.freq * last.time * last.c_out

    def parameters(self, image: Image) -> int:
        """Number of parameters."""
        return sum(
            KERNEL * b.c_out * (b.c_in + b.c_out) + 2 * b.c_out + 2 * b.c_out * b.time * (b.freq_in + b.freq)
            for b in self.blocks(image)
        )

    def flops(self, image: Image) -> int:
        """Floating-point operations of the convolutions for one image: two for each multiplication and addition."""
        return sum(2 * KERNEL * b.c_out * b.time * (b.c_in * b.freq_in + b.c_out * b.freq) for b in self.blocks(image))

    def for_dimension(self, dim: int, image: Image) -> str:
        """What to change so that the features divide into ``dim`` heads."""
        return f"model.width to a multiple of {dim // gcd(dim, self.features(image) // self.width)}"

    def build(self, image: Image) -> "nn.Module":
        """The module: (B, mels, frames) -> (B, features)."""
        from nafp.model.encoders.separable_network import SeparableNetwork

        return SeparableNetwork(self.blocks(image), self.variant)
