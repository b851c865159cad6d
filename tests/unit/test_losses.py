"""Losses by hand."""

import math

import pytest
import torch

from nafp.training.losses import LOSSES, distances, nt_xent, triplet


def on_circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees: float) -> float:
    """Distance of two points of the unit circle."""
    return 2 * math.sin(degrees * math.pi / 360)


def test_nt_xent_of_orthogonal_pairs():
    """Two pairs, orthogonal to each other: each row has logits 1/tau (partner), 0 and 0."""
    a = torch.eye(2)
    expected = 2 * math.log(1 + 2 * math.exp(-1 / 0.5))
    torch.testing.assert_close(nt_xent(a, a, tau=0.5), torch.tensor(expected))


# Anchors at 0 and 90 degrees, their replicas at 20 and 150. Distances from the anchor at 0: its replica 20, negatives 150
# and 90 degrees; from the anchor at 90: its replica 60, negatives 70 and 90 degrees.
ORG, REP = on_circle(0, 90), on_circle(20, 150)


@pytest.mark.parametrize(
    "mining, margin, expected",
    [
        ("semi_hard", 0.2, chord(60) - chord(70) + 0.2),  # 90 degrees lies beyond the margin
        ("semi_hard", 0.5, ((chord(60) - chord(70) + 0.5) + (chord(60) - chord(90) + 0.5)) / 2),
        ("semi_hard", 0.05, 0.0),
        ("all", 0.5, ((chord(60) - chord(70) + 0.5) + (chord(60) - chord(90) + 0.5)) / 2),
        ("release_semi_hard", 0.2, (chord(60) - chord(70) + 0.2) / 8),  # divided by all entries of 2 x 4
    ],
)
def test_triplets_on_a_circle(mining, margin, expected):
    assert triplet(ORG, REP, margin, mining).item() == pytest.approx(expected, abs=1e-6)


def test_minings_differ_in_what_hard_negatives_count():
    """A negative nearer than the positive is no semi-hard one; "all" and the original code take it."""
    org, rep = on_circle(0, 10), on_circle(30, 40)  # negatives at 10 and 40 degrees, and at 10 and 20; positives at 30
    semi_hard = chord(30) - chord(40) + 0.2
    hard = 3 * chord(30) - 2 * chord(10) - chord(20) + 3 * 0.2
    assert triplet(org, rep, 0.2, "semi_hard").item() == pytest.approx(semi_hard, abs=1e-6)
    assert triplet(org, rep, 0.2, "all").item() == pytest.approx((semi_hard + hard) / 4, abs=1e-6)
    assert triplet(org, rep, 0.2, "release_semi_hard").item() == pytest.approx((semi_hard + hard) / 8, abs=1e-6)


def test_distance_of_a_point_to_itself_has_no_gradient():
    x = torch.eye(3, requires_grad=True)
    distances(x, x).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_finite_gradients_at_their_minimum(name):
    x = torch.eye(4, dtype=torch.float64).requires_grad_()
    LOSSES[name](x, x.detach().clone()).backward()
    assert torch.isfinite(x.grad).all()
