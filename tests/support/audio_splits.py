"""Small splits in memory and on disk, and settings to train on them in a second."""

from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.splits import Split
from nafp.training.settings import Settings

FEATURES = {"n_mels": 64}
MODEL = {"variant": "release", "width": 4}


def split(seed: int, clips: int = 3, samples: int = 24000) -> Split:
    """Clips of noise under a slowly moving tone."""
    g, t = np.random.default_rng(seed), np.arange(samples) / 8000
    sweep = t * (1 + 0.1 * t)
    audio = [3000 * np.sin(2 * np.pi * g.uniform(300, 1000) * sweep) + g.normal(0, 500, samples) for _ in range(clips)]
    table = pd.DataFrame(
        {"path": [f"x/{i}.wav" for i in range(clips)], "start": samples * np.arange(clips), "samples": samples}
    )
    return Split(np.concatenate(audio).astype(np.int16), table)


SPLITS = {"train": split(0), "val_db": split(1), "val_query": split(1), "bg": split(2)}


def write_splits(folder: Path) -> dict[str, str]:
    """SPLITS as packed arrays on disk: name -> path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in SPLITS.items():
        np.save(folder / f"{name}.npy", one.audio)
        one.clips.to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / f"{name}.npy") for name in SPLITS}


def options(**changes) -> dict:
    """Settings of a run of three epochs of three steps, as a dict."""
    defaults = {
        "features": FEATURES,
        "model": MODEL,
        "chain": [{"time_offset": {}}, {"splice": {}}, {"background": {}}, {"cutout": {"mels": [4, 8]}}],
        "bsz": 8,
        "dim": 8,
        "loss": "ntxent",
        "loss_options": {"tau": 0.05},
        "seed": 0,
        "epochs": 3,
        "learning_rate": 1e-3,
        "schedule": {"name": "cos", "final_lr": 1e-5},
        "optimizer": {"name": "adam"},
        "validation": {"segments": 100, "lengths": [1, 3]},
    }
    return defaults | changes


def settings(**changes) -> Settings:
    """``options`` as Settings."""
    return Settings(**options(**changes))
