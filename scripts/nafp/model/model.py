"""A model: log-mel features, an encoder and heads."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nafp.model.encoders import encoder_of
from nafp.model.features import LogMel
from nafp.model.heads import DivideAndEncode
from nafp.model.shapes import check_heads


class Model(nn.Module):
    """(B, T) samples in [-1, 1] -> (B, dim) float32 unit vectors. Only the encoder and the heads have weights."""

    def __init__(self, features: LogMel, encoder: nn.Module, heads: DivideAndEncode):
        super().__init__()
        self.features, self.encoder, self.heads = features, encoder, heads

    @property
    def dim(self) -> int:
        """Dimensions of a fingerprint."""
        return len(self.heads.bias2)

    def embed(self, images: Tensor) -> Tensor:
        """(B, mels, frames) log-mel images -> (B, dim) float32 unit vectors."""
        return F.normalize(self.heads(self.encoder(images)), eps=1e-6)

    def forward(self, samples: Tensor) -> Tensor:
        return self.embed(self.features(samples))


def build_model(features: Mapping, model: Mapping, dim: int) -> Model:
    """An untrained model with the config's ``features`` and ``model``; UserError if ``dim`` does not divide its features."""
    log_mel, encoder = LogMel(**features), encoder_of(model)
    count = encoder.features(log_mel.shape)
    check_heads(dim, count, encoder.for_dimension(dim, log_mel.shape))
    return Model(log_mel, encoder.build(log_mel.shape), DivideAndEncode(count, dim, model.get("head_norm", False)))


def on_device(model: Model, device: torch.device) -> Model:
    """The model on a device, its encoder with the fastest backend there."""
    model.encoder.backend = model.encoder.backend_for(device)
    return model.to(device)
