"""Lossy codecs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nafp.audio.codecs import WITHOUT_A_BIT_RATE
from nafp.audio.coding import code_and_decode
from nafp.augment.base import WaveStep, peak_of


@dataclass
class Codec(WaveStep):
    """Code and decode each replica with one of the named codecs. Runs on the CPU, item by item: up to 10 ms each."""

    names: Sequence[str] = WITHOUT_A_BIT_RATE

    def draw(self, count, length, pool, rng):
        return {"codec": torch.randint(len(self.names), (count,), generator=rng).numpy()}

    def apply(self, x, draws, pool):
        peak = peak_of(x, x.shape[1]).clamp(min=1)  # a codec clips what is beyond full scale
        found = (x / peak).cpu().numpy()
        on = np.flatnonzero(draws["on"].cpu()) if "on" in draws else np.arange(len(x))  # others are not coded in vain
        if len(on):
            found[on] = code_and_decode(found[on], [self.names[i] for i in draws["codec"][on]])
        return torch.from_numpy(found).to(x.device) * peak
