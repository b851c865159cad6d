"""What training asks of the module that an encoder builds."""

import torch
from torch import nn


class EncoderNetwork(nn.Module):
    """(B, mels, frames) log-mel images -> (B, features) float32.

    ``dtype``: what it computes in, which training sets by ``train.precision``; parameters and the result stay float32.
    ``fused``: whether it computes by kernels of its own on a GPU, which is set where it is ``fusible``.
    """

    dtype = torch.float32
    fused = False
    fusible = False
