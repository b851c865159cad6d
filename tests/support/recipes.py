"""Seeded inputs and weights of the reference vectors, and where the full set of vectors lies, if it is there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nafp.model.encoders.separable import CHANNEL_FACTORS, TIME_STRIDES
from nafp.model.model import Model, build_model
from nafp.model.shapes import same_padding

PARITY = Path(__file__).parents[3] / "shared/parity"
needs_parity = pytest.mark.skipif(not PARITY.is_dir(), reason="the full set of reference vectors is not here")


def reference(name: str):
    """One file of the full set of reference vectors."""
    return np.load(PARITY / f"{name}.npz")


def synthetic_segment(seed: int) -> np.ndarray:
    """(8000,) float32: a decaying harmonic tone, a chirp and noise."""
    g, t = np.random.default_rng(seed), np.arange(8000) / 8000
    f0 = 110 * 2 ** (g.integers(0, 36) / 12)
    x = np.zeros(8000)
    for k in (1, 2, 3):
        amplitude, decay, phase = g.uniform(0.2, 1), g.uniform(0.5, 4), g.uniform(0, 6.28)
        x += amplitude * np.exp(-decay * t) * np.sin(2 * np.pi * f0 * k * t + phase)
    x += 0.3 * np.sin(2 * np.pi * (200 * t + 1500 * t**2)) + 0.05 * g.standard_normal(8000)
    return (0.5 * x / np.abs(x).max()).astype(np.float32)


def keras_weights(dim: int) -> list[np.ndarray]:
    """The weights of the reference model, tensor after tensor, in Keras' layouts."""
    shapes, freq, time, c_in = [], 256, 32, 1
    for factor, stride in zip(CHANNEL_FACTORS, TIME_STRIDES, strict=True):
        c, time = 128 * factor, same_padding(time, stride)[0]
        shapes += [(1, 3, c_in, c), (c,), (freq, time, c), (freq, time, c)]
        freq //= 2
        shapes += [(3, 1, c, c), (c,), (freq, time, c), (freq, time, c)]
        c_in = c
    shapes += [(c_in // dim, 32), (32,), (32, 1), (1,)] * dim
    return [draw(k, shape) for k, shape in enumerate(shapes)]


def draw(k: int, shape: tuple[int, ...]) -> np.ndarray:
    """Tensor number k: a kernel (4 or 2 axes), a norm's scale or offset (3 axes), or a bias."""
    z = np.random.default_rng(1000 + k).standard_normal(shape).astype(np.float32)
    match len(shape):
        case 4:
            return z * np.float32(1 / np.sqrt(3 * shape[2]))
        case 2:
            return z * np.float32(1 / np.sqrt(shape[0]))
        case 3 if k % 4 == 2:
            return (1 + 0.1 * z).astype(np.float32)
    return (0.01 * z).astype(np.float32)


def reference_parameters(dim: int) -> dict[str, torch.Tensor]:
    """The reference weights in our layouts, by our parameters' names, in the order of the reference's recipe."""
    model = build_model({}, {}, dim)
    weights = keras_weights(dim)
    names = [name for name, _ in model.encoder.named_parameters(prefix="encoder")]
    ours = {n: w.transpose(3, 2, 0, 1) if w.ndim == 4 else w for n, w in zip(names, weights, strict=False)}
    heads = weights[len(names) :]
    for i, name in enumerate(("weight1", "bias1", "weight2", "bias2")):
        shape = model.heads.get_parameter(name).shape
        ours[f"heads.{name}"] = np.stack(heads[i::4]).reshape(shape)
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in ours.items()}


def reference_model(dim: int = 128) -> Model:
    """The fingerprinter with the reference weights."""
    model = build_model({}, {}, dim)
    model.load_state_dict(reference_parameters(dim))
    return model.eval()
