"""Shape arithmetic without PyTorch, for building models and for checking the config."""

from collections.abc import Mapping
from dataclasses import dataclass

from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError

HEAD_UNITS = 32  # units of the hidden layer of a head
KERNEL = 3  # taps of every convolution
NORM_EPSILON = 1e-3  # added to the variance in every LayerNorm, as in Keras
Image = tuple[int, int]  # (mels, frames) of a segment


@dataclass(frozen=True)
class Block:
    """Sizes of one block: a convolution along time, then one along frequency, both with a norm.

    (freq_in, time_in, c_in) -> (freq_in, time, c_out) -> (freq, time, c_out)
    """

    c_in: int
    c_out: int
    freq_in: int
    time_in: int
    stride: int
    freq: int
    time: int


def image_shape(features: Mapping) -> Image:
    """(mels, frames) of a segment, by the options of the log-mel layer (defaults: the paper's)."""
    samples, hop = features.get("sample_rate", SAMPLE_RATE), features.get("hop", 256)
    return features.get("n_mels", 256), (-(-samples // hop) if features.get("scale") == "db80" else samples // hop) + 1


def same_padding(length: int, stride: int) -> tuple[int, int, int]:
    """(output length, padding before, padding after) of a TensorFlow "SAME" convolution."""
    out = -(-length // stride)
    total = max((out - 1) * stride + KERNEL - length, 0)
    return out, total // 2, total - total // 2


def head_parameters(features: int, dim: int, norm: bool = False) -> int:
    """Number of parameters of the divide-and-encode heads."""
    return features * HEAD_UNITS + dim * ((4 if norm else 2) * HEAD_UNITS + 1)


def check_heads(dim: int, features: int, advice: str) -> None:
    """Refuse a dimension that does not divide the features of an encoder (paper 3.2)."""
    if features % dim:
        raise UserError(
            f"dim={dim} does not divide the {features} features of the encoder; change the dimension, or {advice}"
        )


def check_band(f_min: float, f_max: float, sample_rate: int = SAMPLE_RATE) -> None:
    """Refuse a band of mel filters that is empty or exceeds half the sample rate."""
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise UserError(
            f"features.f_min: {f_min:g}, f_max: {f_max:g}: f_min must be below f_max, and f_max at most "
            f"{sample_rate / 2:g} Hz, half the sample rate"
        )
