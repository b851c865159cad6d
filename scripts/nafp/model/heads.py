"""The heads, from an encoder's features to a fingerprint."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nafp.model.shapes import HEAD_UNITS


class DivideAndEncode(nn.Module):
    """(B, features) -> (B, dim): each output from its own slice of the features by a two-layer perceptron (paper 3.2)."""

    def __init__(self, features: int, dim: int):
        super().__init__()
        self.weight1 = nn.Parameter(torch.empty(dim, features // dim, HEAD_UNITS))
        self.bias1 = nn.Parameter(torch.zeros(dim, HEAD_UNITS))
        self.weight2 = nn.Parameter(torch.empty(dim, HEAD_UNITS))
        self.bias2 = nn.Parameter(torch.zeros(dim))
        for head in range(dim):
            nn.init.xavier_uniform_(self.weight1[head])
            nn.init.xavier_uniform_(self.weight2[head, :, None])

    def forward(self, x: Tensor) -> Tensor:
        slices = x.unflatten(1, (self.weight1.shape[0], -1))
        hidden = F.elu(torch.einsum("bds,dsh->bdh", slices, self.weight1) + self.bias1)
        return (hidden * self.weight2).sum(-1) + self.bias2
