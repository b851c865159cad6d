"""Augmentation steps on their own: a generator, small pools, and what a step makes of samples."""

import numpy as np
import pandas as pd
import torch

from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pool(*clips: np.ndarray, kinds: tuple[str, ...] = ()) -> AudioPool:
    """A pool of int16 clips, each in a folder of its kind."""
    starts = np.cumsum([0, *map(len, clips)])
    paths = [f"{kind}/{i}.wav" for i, kind in enumerate(kinds or ["x"] * len(clips))]
    table = pd.DataFrame({"path": paths, "start": starts[:-1], "samples": [len(c) for c in clips]})
    return AudioPool(Split(np.concatenate(clips).astype(np.int16), table))


def applied(step, x: torch.Tensor, seed: int = 0, pool: AudioPool | None = None) -> torch.Tensor:
    """What a wave step makes of x."""
    return step.apply(x, step.draw(len(x), x.shape[1], pool, rng(seed)), pool)


def noise(n: int = 20000, level: int = 3000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-level, level, n)
