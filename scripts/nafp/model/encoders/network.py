"""What training asks of the module that an encoder builds."""

import torch
from torch import nn


class EncoderNetwork(nn.Module):
    """(B, mels, frames) log-mel images -> (B, features) float32.

    ``dtype``: what it computes in, which training sets by ``train.precision``; parameters and the result stay float32.
    ``backend``: how it computes: ``eager`` by PyTorch's own operations, or a faster way that ``backend_for`` names.
    """

    dtype = torch.float32
    backend = "eager"

    def backend_for(self, device: torch.device) -> str:
        """The fastest backend on a device."""
        return "eager"
