"""Small data sets in the paper's layout."""

from pathlib import Path

import numpy as np
import soundfile as sf

from nafp.datasets.layout import SPLITS


def write(
    path: Path, seconds: float = 2.0, rate: int = 8000, channels: int = 1, subtype: str = "PCM_16", seed: int = 0
):
    """A WAV file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = np.random.default_rng(seed).uniform(-0.5, 0.5, (int(seconds * rate), channels))
    sf.write(path, x, rate, subtype=subtype)
    return path


def data_set(root: Path, clips: int = 2, seconds: float = 3.0) -> Path:
    """``clips`` clips in every split."""
    for number, folder in enumerate(SPLITS.values()):
        for i in range(clips):
            write(root / folder / f"{i:03d}.wav", seconds, seed=100 * number + i)
    return root
