"""The encoder's kernels, run by Triton's interpreter on the CPU, against the eager path that defines what is right."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import encoder_layers
import pytest
import torch
from encoder_layers import LAYERS, gradients, relative
from interpreter import mend
from torch import Tensor
from workflow import ROOT

from nafp.model.encoders.separable_network import AxisConv, NormAndActivation
from nafp.model.kernels import norm as norm_kernels
from nafp.model.kernels import products
from nafp.model.kernels.layer import layer
from nafp.model.model import build_model

mend()


def layer_of(name: str, variant: str, items: int = 3) -> tuple[AxisConv, NormAndActivation, Tensor]:
    """A layer of LAYERS and its input, which needs no gradient where it is an image."""
    conv, norm, x = encoder_layers.layer_of(LAYERS[name], variant, items)
    return conv, norm, x.requires_grad_(x.shape[-1] > 1)


@pytest.mark.parametrize("variant", ["release", "paper"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_what_it_is_in_eager_pytorch(name, variant):
    conv, norm, x = layer_of(name, variant)
    right, found = norm(conv(x)), layer(x, conv, norm, torch.float32)
    torch.testing.assert_close(found, right, atol=2e-6, rtol=1e-5)
    of = [*conv.parameters(), *norm.parameters(), *[x] * x.requires_grad]
    for ours, theirs, value in zip(gradients(found, conv, norm, x), gradients(right, conv, norm, x), of, strict=True):
        assert ours.stride() == value.stride()  # no copy where it becomes a parameter's gradient
        assert relative(ours, theirs) < 3e-6


def test_kernels_are_launched_on_the_device_of_their_input(monkeypatch):
    """Of several GPUs, say cuda:1 of ``nafp.load``, which need not be the current one."""
    entered, launched = [], []

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        entered.append(tensor)
        yield
        entered.pop()

    def normalise(*given):
        launched.append(list(entered))
        return norm_kernels.normalise(*given)

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    monkeypatch.setattr("nafp.model.kernels.layer.normalise", normalise)
    conv, norm, x = layer_of("odd length along time", "release")
    layer(x, conv, norm, torch.float32)
    assert [[tensor is x for tensor in tensors] for tensors in launched] == [[True]] and not entered


@pytest.mark.parametrize("name", LAYERS)
def test_bfloat16_rounds_results_and_not_sums(name):
    """Within its rounding of the layer in float32: 8 bits, once for y, z and dz each."""
    conv, norm, x = layer_of(name, "release")
    right = norm(conv(x))
    found = layer(x if x.shape[-1] == 1 else x.bfloat16(), conv, norm, torch.bfloat16)
    assert found.dtype == torch.bfloat16
    assert relative(found, right) < 5e-3
    for ours, theirs in zip(gradients(found, conv, norm, x), gradients(right, conv, norm, x), strict=True):
        assert relative(ours, theirs) < 8e-3


@pytest.mark.parametrize(
    "change",
    [
        {"WHOLE_ITEM": 64},  # an item's norm shared by several programs
        {"NORM_PROGRAMS": 1, "WHOLE_PROGRAMS": 1},  # one group of all items
        {"SHARES": 8},  # rows of a weight gradient shared by several programs
        {"PART": 256, "FIRST_PARTS": 3},  # moments of unequal parts
        {"wide": lambda *tensors: True},  # 64-bit row numbers
    ],
    ids=lambda change: ", ".join(change),
)
@pytest.mark.parametrize("name", ["first, odd length, channels that are no power of two", "odd length along time"])
def test_how_work_is_cut_changes_nothing(name, change, monkeypatch):
    conv, norm, x = layer_of(name, "release", items=5)
    right = norm(conv(x))
    for constant, value in change.items():
        monkeypatch.setattr(products if hasattr(products, constant) else norm_kernels, constant, value)
    if "WHOLE_ITEM" in change:
        monkeypatch.setattr("nafp.model.kernels.layer.WHOLE_ITEM", change["WHOLE_ITEM"])
    found = layer(x, conv, norm, torch.float32)
    torch.testing.assert_close(found, right, atol=2e-6, rtol=1e-5)
    for ours, theirs in zip(gradients(found, conv, norm, x), gradients(right, conv, norm, x), strict=True):
        assert relative(ours, theirs) < 3e-6


@pytest.mark.parametrize("variant", ["release", "paper"])
def test_the_whole_encoder(variant, monkeypatch):
    torch.manual_seed(0)
    features = {"n_mels": 32, "hop": 250}  # 33 frames
    model = build_model(features, {"width": 16, "variant": variant}, 16)
    monkeypatch.setattr("nafp.compute.runs_kernels", lambda device: True)
    gpu = torch.device("cuda")
    assert model.encoder.backend_for(gpu) == "triton"
    assert build_model(features, {"width": 12}, 16).encoder.backend_for(gpu) == "eager"
    images = -torch.rand(3, 32, 33)
    right = model.embed(images)
    theirs = torch.autograd.grad(right.square().sum() + right.sum(), model.parameters())
    model.encoder.backend = "triton"
    found = model.embed(images)
    ours = torch.autograd.grad(found.square().sum() + found.sum(), model.parameters())
    torch.testing.assert_close(found, right, atol=1e-5, rtol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * float(b.abs().max().clamp(min=1)), rtol=0)


def test_all_kernels_compile_for_a_gpu():
    """What the interpreter accepts, the compiler may not."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts"), "TRITON_INTERPRET": "0"}
    command = [sys.executable, ROOT / "tests/support/compile_kernels.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("bytes of shared memory") == 20
