"""Seeded inputs and weights of the reference vectors, and where the full set of vectors lies, if it is there."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nafp.model.encoders.separable import CHANNEL_FACTORS, TIME_STRIDES
from nafp.model.model import Model, build_model
from nafp.model.original_weights import NMFP
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


def keras_weights(dim: int, nmfp: bool = False) -> list[np.ndarray]:
    """The weights of the reference model of NAFP or NMFP, tensor after tensor, in Keras' layouts."""
    shapes, freq, time, c_in = [], 256, 33 if nmfp else 32, 1
    for factor, stride in zip(CHANNEL_FACTORS, TIME_STRIDES, strict=True):
        c, time = 128 * factor, same_padding(time, stride)[0]
        shapes += [("kernel", (1, 3, c_in, c)), ("bias", (c,)), ("gamma", (freq, time, c)), ("beta", (freq, time, c))]
        freq //= 2
        shapes += [("kernel", (3, 1, c, c)), ("bias", (c,)), ("gamma", (freq, time, c)), ("beta", (freq, time, c))]
        c_in = c
    norm = [("gamma", (32,)), ("beta", (32,))] * nmfp
    shapes += [("kernel", (c_in // dim, 32)), ("bias", (32,)), *norm, ("kernel", (32, 1)), ("bias", (1,))] * dim
    return [draw(k, kind, shape) for k, (kind, shape) in enumerate(shapes)]


def draw(k: int, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Tensor number k: a kernel, a bias, or the scale (gamma) or offset (beta) of a norm."""
    z = np.random.default_rng(1000 + k).standard_normal(shape).astype(np.float32)
    if kind == "kernel":
        return z * np.float32(1 / np.sqrt(np.prod(shape[:-1])))
    return (1 + 0.1 * z).astype(np.float32) if kind == "gamma" else (0.01 * z).astype(np.float32)


def reference_parameters(dim: int, nmfp: bool = False) -> dict[str, torch.Tensor]:
    """The reference weights in our layouts, by our parameters' names, in the order of the reference's recipe."""
    model, weights = empty_model(dim, nmfp), keras_weights(dim, nmfp)
    names = [name for name, _ in model.encoder.named_parameters(prefix="encoder")]
    ours = {n: w.transpose(3, 2, 0, 1) if w.ndim == 4 else w for n, w in zip(names, weights, strict=False)}
    heads, of_heads = weights[len(names) :], ["weight1", "bias1", "weight2", "bias2"]
    if nmfp:
        of_heads[2:2] = ["norm_weight", "norm_bias"]
    for i, name in enumerate(of_heads):
        shape = model.heads.get_parameter(name).shape
        ours[f"heads.{name}"] = np.stack(heads[i :: len(of_heads)]).reshape(shape)
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in ours.items()}


def empty_model(dim: int, nmfp: bool = False) -> Model:
    """The fingerprinter of NAFP or NMFP, not trained."""
    return build_model(NMFP if nmfp else {}, {"head_norm": nmfp}, dim)


def reference_model(dim: int = 128, nmfp: bool = False) -> Model:
    """The fingerprinter with the reference weights."""
    model = empty_model(dim, nmfp)
    model.load_state_dict(reference_parameters(dim, nmfp))
    return model.eval()
