"""A layer of the encoder as one function on a CPU, against the eager path that defines what is right."""

import pytest
import torch
import torch.nn.functional as F
from encoder_layers import LAYERS, gradients, layer_of, relative
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nafp.model.encoders import separable_layer
from nafp.model.encoders.separable_network import AxisConv, NormAndActivation
from nafp.model.model import build_model, on_device

ALL = LAYERS | {  # with channels that no kernel of a GPU takes
    "first, odd length, 12 channels": (20, 5, 1, 12, 2, 2),
    "24 channels": (128, 4, 16, 24, 1, 2),
    "along time": (30, 8, 6, 10, 2, 2),
    "odd length along frequency": (7, 3, 6, 10, 1, 2),
    "stride 1, length 5": (3, 5, 6, 10, 2, 1),
    "two rows become one, along time": (8, 2, 16, 32, 2, 2),
    "two rows become one, along frequency": (2, 2, 16, 32, 1, 2),
}


def by_one_function(conv: AxisConv, norm: NormAndActivation, x: Tensor) -> Tensor:
    """(B, F, T, c_in) -> (B, F', T', c_out), as the eager path has it."""
    if conv.axis == 1:
        return separable_layer.layer(x.transpose(1, 2).contiguous(), conv, norm)
    return separable_layer.layer(x, conv, norm).transpose(1, 2)


@pytest.mark.parametrize("variant", ["release", "paper"])
@pytest.mark.parametrize("name", ALL)
def test_a_layer_is_what_it_is_in_eager_pytorch(name, variant, monkeypatch):
    conv, norm, x = layer_of(ALL[name], variant, items=5)
    monkeypatch.setattr(separable_layer, "CHUNK", 2 * 4 * max(x[0].numel(), norm.norm.weight.numel()))
    right, found = norm(conv(x)), by_one_function(conv, norm, x)  # two items at a time, then one
    torch.testing.assert_close(found, right, atol=5e-6, rtol=1e-5)
    for ours, theirs in zip(gradients(found, conv, norm, x), gradients(right, conv, norm, x), strict=True):
        assert ours.shape == theirs.shape
        assert relative(ours, theirs) < 3e-6
    with torch.no_grad():
        assert torch.equal(by_one_function(conv, norm, x), found)  # without the memory that gradients need


@pytest.mark.parametrize("name", ALL)
def test_bfloat16_rounds_results_and_not_sums(name):
    """Within its rounding of the layer in float32: 8 bits, once for y, z and dz each."""
    conv, norm, x = layer_of(ALL[name], "release", items=3)
    right, found = norm(conv(x)), by_one_function(conv, norm, x.bfloat16())
    assert found.dtype == torch.bfloat16
    assert relative(found, right) < 1e-2
    for ours, theirs in zip(gradients(found, conv, norm, x), gradients(right, conv, norm, x), strict=True):
        assert relative(ours, theirs) < 2e-2


@pytest.mark.parametrize("precision, within", [(torch.float32, 3e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("name", ALL)
def test_a_convolution_has_the_zeros_of_same_padding_around_it(name, precision, within):
    """And neither a tap of zeros nor PyTorch's own padding moves a result or a gradient."""
    conv, _, x = layer_of(ALL[name], "release", items=2)
    around = (0, 0, conv.before, conv.after) if conv.axis == 1 else (conv.before, conv.after)
    right = F.conv2d(F.pad(x.permute(0, 3, 1, 2), around), conv.weight, conv.bias, conv.stride).permute(0, 2, 3, 1)
    found = conv(x.to(precision)).float()
    assert relative(found, right) < within
    given = [conv.weight, conv.bias, *[x] * x.requires_grad]
    ours, theirs = (torch.autograd.grad(y.square().sum(), given) for y in (found, right))
    assert max(relative(a, b) for a, b in zip(ours, theirs, strict=True)) < within


@pytest.mark.parametrize("width", [4, 16])
def test_bfloat16_is_right_in_every_layer_of_the_paper(width):
    """oneDNN is not: with AMX it returns noise for convolutions whose output has width 1."""
    torch.manual_seed(0)
    model = build_model({}, {"width": width}, 16)
    x = torch.randn(3, 256, 32, 1)
    for conv, norm in model.encoder.layers():
        ours, right = conv(x.bfloat16()).float(), conv(x)
        assert relative(ours, right) < 1e-2
        for a, b in zip(*(torch.autograd.grad(y.square().sum(), conv.weight) for y in (ours, right)), strict=True):
            assert relative(a, b) < 2e-2
        x = norm(right).detach()


class Made(TorchDispatchMode):
    """The shapes of the tensors that are asked for."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.new_empty.default:
            self.shapes.append(tuple(args[1]))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("trained", [True, False])
def test_what_only_gradients_need_is_held_for_all_items_only_for_them(trained, monkeypatch):
    conv, norm, x = layer_of(ALL["24 channels"], "release", items=4)
    monkeypatch.setattr(separable_layer, "CHUNK", 1)
    with torch.set_grad_enabled(trained), Made() as made:
        by_one_function(conv, norm, x)
    assert [shape[0] for shape in made.shapes] == [4, 4 if trained else 1]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("variant", ["release", "paper"])
def test_the_whole_encoder(variant, precision):
    torch.manual_seed(0)
    model = build_model({"n_mels": 32, "hop": 250}, {"width": 16, "variant": variant}, 16)  # 33 frames
    model.encoder.dtype = precision
    images = -torch.rand(3, 32, 33)
    right = model.embed(images)
    theirs = torch.autograd.grad(right.square().sum() + right.sum(), model.parameters())
    on_device(model, torch.device("cpu"))
    assert model.encoder.backend == "layers"
    found = model.embed(images)
    ours = torch.autograd.grad(found.square().sum() + found.sum(), model.parameters())
    within = 1e-5 if precision == torch.float32 else 0.1
    with torch.no_grad():
        torch.testing.assert_close(model.embed(images), right, atol=within, rtol=0)
    torch.testing.assert_close(found, right, atol=within, rtol=0)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=within * float(b.abs().max().clamp(min=1)), rtol=0)
