"""Contrastive losses: ``loss(org, rep, **options)`` of n anchors and their replicas.

``org``: (n, d) unit vectors of the anchors; ``rep``: (n * k, d) of their k replicas each, those of anchor 0 first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(org: Tensor, rep: Tensor, tau: float = 0.05) -> Tensor:
    """Normalised-temperature cross entropy of n pairs (paper 3.3): a scalar.

    Row i of one is the partner of row i of the other, and every other row of both is a negative. The two directions are
    added, not averaged, as in the original code.
    """
    partner = torch.arange(len(org), device=org.device)
    itself = torch.eye(len(org), dtype=torch.bool, device=org.device)

    def one_way(a: Tensor, b: Tensor) -> Tensor:
        logits = torch.cat([a @ b.T, (a @ a.T).masked_fill(itself, float("-inf"))], dim=1) / tau
        return F.cross_entropy(logits, partner)

    return one_way(org, rep) + one_way(rep, org)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """(n, d), (m, d) unit vectors -> (n, m) Euclidean distances; 0 has gradient 0."""
    squared = 2 * (1 - a @ b.T)
    apart = squared > 0
    return torch.where(apart, torch.sqrt(torch.where(apart, squared, 1) + 1e-9), 0)


def triplet(org: Tensor, rep: Tensor, margin: float = 0.4, mining: str = "semi_hard") -> Tensor:
    """Online triplet loss, as "now-playing" is trained: a scalar.

    An anchor's negatives are the other anchors and their replicas. ``mining``:

    * ``semi_hard`` (FaceNet, arXiv 1503.03832): triplets with d(a, p) < d(a, n) < d(a, p) + margin; mean over them;
    * ``all`` (arXiv 1703.07737, "batch all"): every triplet that violates the margin; mean over those;
    * ``release_semi_hard``: the original code's. Every negative against the farthest replica, without a lower bound, so
      that hard negatives count too; mean over all entries of the distance matrix, the masked ones included;
    * ``release_all``: the original code's. The matrices of positive and of negative distances are subtracted entry by
      entry, so that no triplet is ever formed.
    """
    n, k = len(org), len(rep) // len(org)
    d = distances(org, torch.cat([rep, org]))
    owner = torch.cat([torch.arange(n).repeat_interleave(k), torch.arange(n)]).to(d.device)
    own = owner == torch.arange(n, device=d.device)[:, None]
    negative, positive = ~own, own.clone()
    positive[:, n * k :] = False  # the anchor itself
    match mining:
        case "release_semi_hard":
            farthest = d.masked_fill(~positive, 0).amax(dim=1, keepdim=True)
            return (F.relu(farthest - d + margin) * negative).mean()
        case "release_all":
            return F.relu(d * positive - d * negative + margin).mean()
    to_positive = d[positive].view(n, k, 1)
    excess = to_positive - d[:, None, :] + margin
    counted = negative[:, None, :] & (excess > 0)
    if mining == "semi_hard":
        counted = counted & (d[:, None, :] > to_positive)
    return (excess * counted).sum() / counted.sum().clamp(min=1)


LOSSES = {"ntxent": nt_xent, "triplet": triplet}
WAITING_LOSSES = {"triplet"}  # losses that choose triplets on the host, which a CUDA graph cannot record
