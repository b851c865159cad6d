"""Optimizer and learning-rate schedule of the published code."""

import math

import torch


class KerasAdam(torch.optim.Adam):
    """Adam that adds epsilon before the bias correction, as Keras does: m / (sqrt(v) + eps).

    PyTorch computes m / (sqrt(v) / c + eps) with c = sqrt(1 - beta2^t), so the same step is taken with eps / c.
    """

    def __init__(self, params, lr: float, epsilon: float = 1e-7, **options):
        super().__init__(params, lr=lr, eps=epsilon, **options)
        self.epsilon, self.steps = epsilon, 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["eps"] = self.epsilon / math.sqrt(1 - group["betas"][1] ** self.steps)
        return super().step(closure)

    def state_dict(self):
        return super().state_dict() | {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]
        super().load_state_dict({k: v for k, v in state.items() if k != "steps"})


def cosine_lr(step: int, initial: float, total_steps: int, final_fraction: float) -> float:
    """Learning rate before update ``step`` (counted from 0): half a cosine from ``initial`` to its final fraction."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(step / total_steps, 1)))
    return initial * (final_fraction + (1 - final_fraction) * cosine)
