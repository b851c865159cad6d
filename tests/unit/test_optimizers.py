"""The optimizers against their formulas in float64; tests/unit/test_parity.py has them against the authors' code."""

import numpy as np
import pytest
import torch

from nafp.training.optim import KerasAdam, Lamb

BETAS = (0.9, 0.999)


def moments(gradients: np.ndarray):
    """(step, m, v) after each gradient, without bias corrections."""
    m = v = np.zeros(gradients.shape[1:])
    for step, gradient in enumerate(gradients, start=1):
        m = BETAS[0] * m + (1 - BETAS[0]) * gradient
        v = BETAS[1] * v + (1 - BETAS[1]) * gradient**2
        yield step, m, v


def keras_adam(w: np.ndarray, gradients: np.ndarray, lr: float, epsilon: float) -> np.ndarray:
    """Adam of Keras, "epsilon hat" in arXiv 1412.6980: the corrections are in the learning rate, epsilon is added before."""
    for step, m, v in moments(gradients):
        corrected = lr * np.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
        w = w - corrected * m / (np.sqrt(v) + epsilon)
    return w


def lamb(w: np.ndarray, gradients: np.ndarray, lr: float, decay: float, epsilon: float) -> np.ndarray:
    """LAMB (arXiv 1904.00962, algorithm 2), its ratio 1 where weights or update are zero."""
    for step, m, v in moments(gradients):
        update = m / (1 - BETAS[0] ** step) / (np.sqrt(v / (1 - BETAS[1] ** step)) + epsilon) + decay * w
        norms = np.linalg.norm(w), np.linalg.norm(update)
        w = w - lr * (norms[0] / norms[1] if all(norms) else 1) * update
    return w


def drawn(scale: float, zeros: bool) -> tuple[np.ndarray, np.ndarray]:
    """Weights (5, 3), or zeros, and the gradients of four steps."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, 3)) * (not zeros), scale * rng.standard_normal((4, 5, 3))


def stepped(optimizer: type, start: np.ndarray, gradients: np.ndarray, **options) -> np.ndarray:
    weight = torch.nn.Parameter(torch.tensor(start, dtype=torch.float32))
    optimizer = optimizer([weight], **options)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
    return weight.detach().numpy()


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", [1, 1e-6])  # gradients about as small as epsilon tell where it is added
def test_adam_is_that_of_keras(scale, zeros):
    start, gradients = drawn(scale, zeros)
    found = stepped(KerasAdam, start, gradients, lr=1e-2)
    np.testing.assert_allclose(found, keras_adam(start, gradients, 1e-2, 1e-7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", [1, 1e-6])
def test_lamb_is_that_of_its_paper(scale, zeros):
    start, gradients = drawn(scale, zeros)
    found = stepped(Lamb, start, gradients, lr=1e-2, weight_decay=0.1)
    np.testing.assert_allclose(found, lamb(start, gradients, 1e-2, 0.1, 1e-6), rtol=0, atol=1e-6)
