"""The encoder's shape arithmetic, without the encoder: also the config is checked with it."""

from math import gcd

from nafp.data.layout import SAMPLE_RATE
from nafp.errors import UserError

CHANNEL_FACTORS = (1, 1, 2, 2, 4, 4, 8, 8)  # times the width, block by block (paper, Table 1)
TIME_STRIDES = (2, 2, 2, 2, 1, 2, 1, 2)  # of the 1x3 convolution; the 3x1 convolution always strides frequency by 2
CHANNELS_OF_KERNELS = 16  # a multiple of so many channels can be cut into the tiles of nafp.model.kernels


def same_padding(length: int, stride: int, kernel: int = 3) -> tuple[int, int, int]:
    """(output length, padding before, padding after) of a TensorFlow "SAME" convolution."""
    out = -(-length // stride)
    total = max((out - 1) * stride + kernel - length, 0)
    return out, total // 2, total - total // 2


def encoder_features(width: int, n_mels: int, n_frames: int) -> int:
    """Number of features that the encoder makes of an image: what ``dim`` must divide."""
    freq, time = n_mels, n_frames
    for stride in TIME_STRIDES:
        time, freq = same_padding(time, stride)[0], same_padding(freq, 2)[0]
    return freq * time * CHANNEL_FACTORS[-1] * width


def encoder_flops(width: int, n_mels: int, n_frames: int) -> int:
    """Floating-point operations (two for a multiplication and an addition) of the encoder's convolutions for one image."""
    freq, time, c_in, total = n_mels, n_frames, 1, 0
    for factor, stride in zip(CHANNEL_FACTORS, TIME_STRIDES, strict=True):
        c_out, time = factor * width, same_padding(time, stride)[0]
        total += 2 * 3 * c_in * c_out * freq * time
        freq = same_padding(freq, 2)[0]
        total += 2 * 3 * c_out * c_out * freq * time
        c_in = c_out
    return total


def check_heads(dim: int, width: int, features: int) -> None:
    """Refuse a dimension that the features of an encoder cannot be divided into (paper 3.2)."""
    if features % dim:
        raise UserError(
            f"dim={dim} does not divide the {features} features of an encoder of width {width}; "
            f"change the dimension, or model.width to a multiple of {dim // gcd(dim, features // width)}"
        )


def check_band(f_min: float, f_max: float, sample_rate: int = SAMPLE_RATE) -> None:
    """Refuse a band of the mel filters that is empty, or wider than the audio's."""
    if not 0 <= f_min < f_max <= sample_rate / 2:
        raise UserError(
            f"features.f_min: {f_min:g}, f_max: {f_max:g}: f_min must be below f_max, and f_max at most "
            f"{sample_rate / 2:g} Hz, half the sample rate"
        )
