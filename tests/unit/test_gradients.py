"""The gradient in pieces and over processes is that of the whole batch."""

import pytest
import torch
from torch import nn

from nafp.model.model import build_model
from nafp.training.gradients import backward, graph_bytes
from nafp.training.losses import LOSSES


def gradients(model: nn.Module, images: torch.Tensor, loss: str, anchors: int, piece: int | None) -> tuple:
    model.zero_grad()
    value, embeddings = backward(model.embed, images, lambda z: LOSSES[loss](z[:anchors], z[anchors:]), piece)
    return value, embeddings, torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("loss, anchors, rows", [("ntxent", 12, 24), ("triplet", 6, 24)])
@pytest.mark.parametrize("piece", [1, 5, 24])
def test_pieces_give_the_gradient_of_the_whole_batch(loss, anchors, rows, piece):
    torch.manual_seed(0)
    model, images = build_model({"n_mels": 64}, {"width": 4}, 16), torch.randn(rows, 64, 32)
    model.zero_grad()
    z = model.embed(images)
    value = LOSSES[loss](z[:anchors], z[anchors:])
    value.backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    found, embeddings, gradient = gradients(model, images, loss, anchors, piece)
    torch.testing.assert_close(found, value.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(embeddings, z.detach(), rtol=0, atol=5e-6)
    assert (gradient - expected).norm() / expected.norm() < 1e-5


def test_graph_bytes_counts_what_autograd_keeps():
    """A product keeps the input that its weight's gradient needs, exp keeps its result."""
    weight = torch.randn(100, 50, requires_grad=True)
    assert graph_bytes(lambda images: (images @ weight).exp(), torch.randn(10, 100)) == 4 * (100 + 50)
