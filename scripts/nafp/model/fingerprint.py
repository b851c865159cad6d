"""From audio to fingerprints on disk."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm

from nafp.data.corpus import SEGMENT, Split
from nafp.data.pools import AudioPool
from nafp.files import written_whole
from nafp.model.features import LogMel
from nafp.model.network import Fingerprinter

BATCH = 256


def build_model(features: dict, model: dict, dim: int) -> nn.Sequential:
    """The log-mel layer and the fingerprinter behind it: (B, T) samples -> (B, dim) unit vectors."""
    log_mel = LogMel(**features)
    images = log_mel(torch.zeros(1, SEGMENT))
    return nn.Sequential(log_mel, Fingerprinter(dim, **model, n_mels=images.shape[1], n_frames=images.shape[2]))


def load_model(weights: Path | str, features: dict, model: dict, dim: int) -> nn.Sequential:
    """``build_model`` with the fingerprinter's weights from a safetensors file."""
    network = build_model(features, model, dim)
    network[1].load_state_dict(load_file(weights))
    return network.eval()


@torch.inference_mode()
def fingerprint(network: nn.Sequential, split: Split, device: torch.device, out: np.ndarray, **progress) -> None:
    """Fill ``out`` (n, dim) float32 with the fingerprints of the first n segments of a split, in their order.

    The last batch is filled up to the size of the others, so that no fingerprint depends on how many come with it.
    """
    pool = AudioPool(split, device)
    starts = torch.from_numpy(split.segments.start[: len(out)])
    with tqdm(total=len(starts), unit="segment", mininterval=1, **progress) as bar:
        for first in range(0, len(starts), BATCH):
            batch = starts[first : first + BATCH]
            padded = torch.nn.functional.pad(batch, (0, BATCH - len(batch)), value=int(batch[0]))
            vectors = network(pool.cut(padded, SEGMENT))[: len(batch)]
            out[first : first + len(batch)] = vectors.float().cpu().numpy()
            bar.update(len(batch))


def fingerprint_clips(network: nn.Sequential, clips: list[np.ndarray], device: torch.device, **progress) -> np.ndarray:
    """(T,) int16 clips -> (n, dim) the fingerprints of all their segments, clip after clip; a short one is one segment."""
    split = Split.of_clips(clips, [f"clips/{i}" for i in range(len(clips))])
    out = np.empty((len(split.segments), network[1].dim), np.float32)
    fingerprint(network, split, device, out, **progress)
    return out


def fingerprint_to_file(network: nn.Sequential, dim: int, split: Split, device: torch.device, path: Path) -> None:
    """Write the fingerprints of a split as a (n, dim) float32 ``.npy`` file, under a temporary name until complete."""
    with written_whole(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(len(split.segments), dim))
        fingerprint(network.to(device), split, device, out, desc=f"fingerprints of {path.stem}")
        out.flush()
