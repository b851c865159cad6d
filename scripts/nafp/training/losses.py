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


# ---------------------------------------------------------------- losses of NMFP (arXiv 2506.22661)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """(n, d), (m, d) -> (n, m) squared Euclidean distances."""
    return (a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * a @ b.T).clamp(min=0)


def owners(org: Tensor, rep: Tensor) -> Tensor:
    """Number of the anchor that each row of ``cat([org, rep])`` is a view of."""
    numbers = torch.arange(len(org), device=org.device)
    return torch.cat([numbers, numbers.repeat_interleave(len(rep) // len(org))])


def nmfp_triplet(
    org: Tensor,
    rep: Tensor,
    margin: float = 0.5,
    positive: str = "hard",
    negative: str = "semi_hard",
    squared: bool = True,
) -> Tensor:
    """Triplet loss in which every row, anchor or replica, is an anchor, with one positive and one negative each: a scalar.

    ``positive``: the farthest (``hard``) or the nearest (``easy``) other view. ``negative``: ``hard`` is the nearest view of
    another anchor; ``semi_hard`` the nearest that is farther than the positive by less than the margin, or, where there is
    none, the nearest.
    ``squared``: of the distances that the margin is of. The mean is over all rows.
    """
    rows, owner = torch.cat([org, rep]), owners(org, rep)
    d = squared_distances(rows, rows)
    if not squared:
        apart = d > 0
        d = torch.where(apart, torch.where(apart, d, 1).sqrt(), 0)
    same = owner == owner[:, None]
    own = same & ~torch.eye(len(d), dtype=torch.bool, device=d.device)
    if positive == "hard":
        to_positive = d.masked_fill(~own, -torch.inf).amax(dim=1, keepdim=True)
    else:
        to_positive = d.masked_fill(~own, torch.inf).amin(dim=1, keepdim=True)
    to_negative = d.masked_fill(same, torch.inf)
    if negative == "semi_hard":
        fitting = ~same & (d > to_positive) & (d < to_positive + margin)
        to_negative = torch.where(fitting | ~fitting.any(dim=1, keepdim=True), to_negative, torch.inf)
    return F.relu(to_positive[:, 0] - to_negative.amin(dim=1) + margin).mean()


def multi_positive(org: Tensor, rep: Tensor, tau: float = 0.05) -> Tensor:
    """Contrastive loss of any number of positives: a scalar, with one replica half of ``nt_xent``.

    Every row is compared with all others; its loss is the mean over its positives of their cross entropy.
    """
    rows, owner = torch.cat([org, rep]), owners(org, rep)
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    logits = (rows @ rows.T / tau).masked_fill(itself, float("-inf"))
    own = (owner == owner[:, None]) & ~itself
    of_pairs = torch.where(own, torch.logsumexp(logits, dim=1, keepdim=True) - logits, 0)
    return (of_pairs.sum(dim=1) / own.sum(dim=1)).mean()


def kernel_contrastive(org: Tensor, rep: Tensor, t: float = 2.0, gamma: float = 16.0) -> Tensor:
    """Kernel contrastive loss (KCL) of the anchors and the first replica of each: a scalar."""
    rep = rep[:: len(rep) // len(org)]
    alike = torch.exp(-t * (org - rep).square().sum(dim=1)).mean()
    spread = sum(torch.exp(-t * squared_pairs(view)).mean() for view in (org, rep))
    return -2 * alike + gamma * spread


def squared_pairs(view: Tensor) -> Tensor:
    """(n, d) -> (n (n - 1) / 2,) squared distances of its pairs."""
    first, second = torch.triu_indices(len(view), len(view), 1, device=view.device)
    return squared_distances(view, view)[first, second]


def align_uniform(
    org: Tensor, rep: Tensor, alpha: float = 2.0, t: float = 2.0, alignment: float = 1.0, uniformity: float = 1.0
) -> Tensor:
    """Alignment and uniformity on the sphere (arXiv 2005.10242) of the anchors and the first replica of each: a scalar.

    ``alignment``, ``uniformity``: weights of the two parts.
    """
    rep = rep[:: len(rep) // len(org)]
    squares = (org - rep).square().sum(dim=1)
    apart = squares > 0  # a root has no gradient at 0
    aligned = torch.where(apart, torch.where(apart, squares, 1) ** (alpha / 2), 0).mean()
    uniform = sum(torch.exp(-t * squared_pairs(view)).mean().log() for view in (org, rep)) / 2
    return alignment * aligned + uniformity * uniform


def decoupled(org: Tensor, rep: Tensor, tau: float = 0.05) -> Tensor:
    """Decoupled contrastive loss (DCL, arXiv 2110.06848) of the anchors and the first replica of each: a scalar.

    As ``nt_xent``, but the positive pair is not among those that it is compared with. The two directions are added.
    """
    rep = rep[:: len(rep) // len(org)]
    itself = torch.eye(len(org), dtype=torch.bool, device=org.device)

    def one_way(a: Tensor, b: Tensor) -> Tensor:
        others = [(products / tau).masked_fill(itself, float("-inf")) for products in (a @ a.T, a @ b.T)]
        return (torch.logsumexp(torch.cat(others, dim=1), dim=1) - (a * b).sum(dim=1) / tau).mean()

    return one_way(org, rep) + one_way(rep, org)


LOSSES = {
    "ntxent": nt_xent,
    "triplet": triplet,
    "nmfp_triplet": nmfp_triplet,
    "multi_positive": multi_positive,
    "kcl": kernel_contrastive,
    "align_uniform": align_uniform,
    "dcl": decoupled,
}
WAITING_LOSSES = {"triplet"}  # losses that choose triplets on the host, which a CUDA graph cannot record
