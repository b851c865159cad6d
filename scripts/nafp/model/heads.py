"""The heads, from an encoder's features to a fingerprint."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nafp.model.shapes import HEAD_UNITS, NORM_EPSILON


class DivideAndEncode(nn.Module):
    """(B, features) -> (B, dim): each output from its own slice of the features by a two-layer perceptron (paper 3.2).

    ``norm``: LayerNorm of the hidden layer of each, behind its activation, as NMFP has it (arXiv 2506.22661).
    """

    def __init__(self, features: int, dim: int, norm: bool = False):
        super().__init__()
        self.weight1 = nn.Parameter(torch.empty(dim, features // dim, HEAD_UNITS))
        self.bias1 = nn.Parameter(torch.zeros(dim, HEAD_UNITS))
        self.weight2 = nn.Parameter(torch.empty(dim, HEAD_UNITS))
        self.bias2 = nn.Parameter(torch.zeros(dim))
        self.norm_weight = nn.Parameter(torch.ones(dim, HEAD_UNITS)) if norm else None
        self.norm_bias = nn.Parameter(torch.zeros(dim, HEAD_UNITS)) if norm else None
        for head in range(dim):
            nn.init.xavier_uniform_(self.weight1[head])
            nn.init.xavier_uniform_(self.weight2[head, :, None])

    def forward(self, x: Tensor) -> Tensor:
        slices = x.unflatten(1, (self.weight1.shape[0], -1))
        hidden = F.elu(torch.einsum("bds,dsh->bdh", slices, self.weight1) + self.bias1)
        if self.norm_weight is not None:
            hidden = F.layer_norm(hidden, (HEAD_UNITS,), eps=NORM_EPSILON) * self.norm_weight + self.norm_bias
        return (hidden * self.weight2).sum(-1) + self.bias2
