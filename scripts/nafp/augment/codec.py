"""Lossy codecs."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nafp.audio.codecs import WITHOUT_A_BIT_RATE
from nafp.audio.coding import code_and_decode
from nafp.augment.base import WaveStep


@dataclass
class Codec(WaveStep):
    """Code and decode each replica with one of the named codecs. Runs on the CPU, item by item: some ms each."""

    names: Sequence[str] = WITHOUT_A_BIT_RATE

    def draw(self, count, length, pool, rng):
        return {"codec": torch.randint(len(self.names), (count,), generator=rng).numpy()}

    def apply(self, x, draws, pool):
        peak = x.abs().amax(dim=1, keepdim=True).clamp(min=1)  # a codec clips what is beyond full scale
        coded = code_and_decode((x / peak).cpu().numpy(), [self.names[i] for i in draws["codec"].tolist()])
        return torch.from_numpy(coded).to(x.device) * peak
