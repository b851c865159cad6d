"""Contrastive losses."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(org: Tensor, rep: Tensor, tau: float = 0.05) -> Tensor:
    """Normalised-temperature cross entropy of n pairs (paper 3.3): a scalar.

    ``org``, ``rep``: (n, d) unit vectors; row i of one is the partner of row i of the other, and every other row of
    both is a negative. The two directions are added, not averaged, as in the published code.
    """
    partner = torch.arange(len(org), device=org.device)
    itself = torch.eye(len(org), dtype=torch.bool, device=org.device)

    def one_way(a: Tensor, b: Tensor) -> Tensor:
        logits = torch.cat([a @ b.T, (a @ a.T).masked_fill(itself, float("-inf"))], dim=1) / tau
        return F.cross_entropy(logits, partner)

    return one_way(org, rep) + one_way(rep, org)


LOSSES = {"ntxent": nt_xent}
