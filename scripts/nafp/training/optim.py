"""Optimizers and learning-rate schedules of the paper and of the original code."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


class KerasAdam(torch.optim.Adam):
    """Adam that adds epsilon before the bias correction, as Keras does: m / (sqrt(v) + eps).

    PyTorch computes m / (sqrt(v) / c + eps) with c = sqrt(1 - beta2^t), so the same step is taken with eps / c. Weight
    decay is decoupled (AdamW).
    """

    def __init__(self, params, lr: float, epsilon: float = 1e-7, **options):
        super().__init__(params, lr=lr, eps=epsilon, decoupled_weight_decay=True, fused=True, **options)
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


class Lamb(torch.optim.Optimizer):
    """Layer-wise adaptive moments for large batches (arXiv 1904.00962), as the original code has it.

    Both moments are bias-corrected, every tensor (biases and norms too) is decayed and scaled by ||w|| / ||u||, and that
    ratio is not clipped. pytorch_optimizer's LAMB has no bias correction and cuts ||w|| at 10, so it is not the same.
    """

    def __init__(self, params, lr: float, betas=(0.9, 0.999), epsilon: float = 1e-6, weight_decay: float = 1e-6):
        super().__init__(
            params, {"lr": lr, "betas": betas, "epsilon": epsilon, "weight_decay": weight_decay, "steps": 0}
        )

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            group["steps"] += 1
            weights = [w for w in group["params"] if w.grad is not None]
            for w in weights:
                if not self.state[w]:
                    self.state[w] = {"m": torch.zeros_like(w), "v": torch.zeros_like(w)}
            self._step(weights, [w.grad for w in weights], group)

    def _step(self, weights: list[Tensor], gradients: list[Tensor], group: dict) -> None:
        (beta1, beta2), steps = group["betas"], group["steps"]
        m, v = ([self.state[w][name] for w in weights] for name in "mv")
        torch._foreach_lerp_(m, gradients, 1 - beta1)
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, gradients, gradients, 1 - beta2)
        scale = torch._foreach_div(v, 1 - beta2**steps)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, group["epsilon"])
        update = torch._foreach_div(torch._foreach_div(m, 1 - beta1**steps), scale)
        torch._foreach_add_(update, weights, alpha=group["weight_decay"])
        norms = zip(torch._foreach_norm(weights), torch._foreach_norm(update), strict=True)
        ratios = [torch.where((w > 0) & (u > 0), w / u, 1.0) for w, u in norms]
        torch._foreach_mul_(update, ratios)
        torch._foreach_add_(weights, update, alpha=-group["lr"])


OPTIMIZERS = {"adam": KerasAdam, "lamb": Lamb}


def cosine(fraction: float, final: float, **_) -> float:
    """Half a cosine from 1 to ``final`` while ``fraction`` goes from 0 to 1; ``final`` beyond."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(fraction, 1)))


def cosine_restarts(fraction: float, final: float, first: float = 0.1, factor: float = 2) -> float:
    """Cosines one after the other (SGDR, arXiv 1608.03983).

    The first takes the share ``first`` of the training, each next one is ``factor`` times as long as the one before.
    """
    length, start = first, 0.0
    while fraction >= start + length - 1e-9:  # sums of shares are rounded
        start, length = start + length, length * factor
    return cosine(max(fraction - start, 0) / length, final)


def constant(fraction: float, final: float, **_) -> float:
    """Always 1."""
    return 1.0


SCHEDULES: dict[str, Callable[..., float]] = {"cos": cosine, "cos-restart": cosine_restarts, "constant": constant}


def learning_rate(
    step: int, total_steps: int, peak: float, name: str, final_lr: float = 0, warmup: int = 0, **options
) -> float:
    """Learning rate of update ``step`` (from 0): the named schedule from ``peak`` to ``final_lr``.

    It rises linearly over the first ``warmup`` updates.
    """
    rising = min((step + 1) / (warmup + 1), 1)
    return peak * rising * SCHEDULES[name](step / total_steps, final_lr / peak, **options)
