"""From audio to fingerprints on disk."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from tqdm import tqdm

from nafp import compute
from nafp.data.corpus import Split
from nafp.data.layout import HOP, SEGMENT
from nafp.data.pools import AudioPool
from nafp.files import reading, written_whole
from nafp.model.features import LogMel
from nafp.model.network import Fingerprinter

BATCH = 256  # segments
BATCH_ON_CPU = 32  # of a recording, where larger batches only take memory


def build_model(features: dict, model: dict, dim: int) -> nn.Sequential:
    """The log-mel layer and the fingerprinter behind it: (B, T) samples -> (B, dim) unit vectors."""
    log_mel = LogMel(**features)
    images = log_mel(torch.zeros(1, SEGMENT))
    return nn.Sequential(log_mel, Fingerprinter(dim, **model, n_mels=images.shape[1], n_frames=images.shape[2]))


def load_model(weights: Path | str, features: dict, model: dict, dim: int) -> nn.Sequential:
    """``build_model`` with the fingerprinter's weights from a safetensors file; UserError if that is damaged."""
    network = build_model(features, model, dim)
    with reading(weights):
        found = load_file(weights)
    network[1].load_state_dict(found)
    return network.eval()


def on_device(network: nn.Sequential, device: torch.device) -> nn.Sequential:
    """The model on a device, where it computes by our kernels if they run there (``nafp.model.kernels``)."""
    network[1].fused = network[1].fusible and compute.runs_kernels(device)
    return network.to(device)


def shard_rows(segments: int, shard: int, shards: int) -> slice:
    """The segments of shard ``shard`` (from 0) of ``shards``: whole batches, in order, as evenly as they go.

    The batches are those of the whole split. A matrix product may round a row differently in another place or another
    company, so this is what makes the fingerprints the same to the bit for any number of shards.
    """
    batches = -(-segments // BATCH)
    first, end = (BATCH * (batches * n // shards) for n in (shard, shard + 1))
    return slice(min(first, segments), min(end, segments))


@torch.inference_mode()
def fingerprint(
    network: nn.Sequential, split: Split, device: torch.device, out: np.ndarray, first: int = 0, **progress
) -> None:
    """Fill ``out`` (n, dim) float32 with the fingerprints of n segments of a split, in their order.

    ``first``: the first of these segments, the beginning of a batch. The last batch is filled up to the size of the
    others, so that no fingerprint depends on how many come with it.
    """
    starts = torch.from_numpy(split.segments.start[first : first + len(out)])
    if not len(starts):
        return
    begin, end = int(starts[0]), int(starts[-1]) + SEGMENT
    pool = AudioPool(replace(split, audio=split.audio[begin:end]), device)
    with tqdm(total=len(starts), unit="segment", mininterval=1, **progress) as bar:
        for row in range(0, len(starts), BATCH):
            batch = starts[row : row + BATCH] - begin
            padded = torch.nn.functional.pad(batch, (0, BATCH - len(batch)), value=int(batch[0]))
            vectors = network(pool.cut(padded, SEGMENT))[: len(batch)]
            out[row : row + len(batch)] = vectors.float().cpu().numpy()
            bar.update(len(batch))


@torch.inference_mode()
def fingerprint_samples(network: nn.Sequential, samples: np.ndarray, device: torch.device) -> np.ndarray:
    """(T,) int16, at least a segment -> (n, dim) the fingerprints of its segments, in one batch."""
    segments = torch.from_numpy(np.ascontiguousarray(samples)).to(device).unfold(0, SEGMENT, HOP)
    return network(segments.float().div_(32768)).float().cpu().numpy()


def fingerprint_blocks(
    network: nn.Sequential, blocks: Iterable[np.ndarray], device: torch.device
) -> Iterator[np.ndarray]:
    """(T,) int16 blocks of one recording -> (n, dim) fingerprints of its segments, a batch at a time, in order.

    Memory holds a batch, however long the recording is, and a short one costs its own segments only. One that is shorter
    than a segment is filled up to one with zeros; one without samples has none.
    """
    batch = BATCH if device.type == "cuda" else BATCH_ON_CPU
    samples, waiting, found = (batch - 1) * HOP + SEGMENT, np.zeros(0, np.int16), False
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= samples:
            yield fingerprint_samples(network, waiting[:samples], device)
            waiting, found = waiting[batch * HOP :], True
    if len(waiting) >= SEGMENT or (len(waiting) and not found):
        yield fingerprint_samples(network, np.pad(waiting, (0, max(SEGMENT - len(waiting), 0))), device)


def fingerprint_clips(network: nn.Sequential, clips: list[np.ndarray], device: torch.device) -> np.ndarray:
    """(T,) int16 clips -> (n, dim) the fingerprints of all their segments, clip after clip; a short one is one segment."""
    parts = [vectors for clip in clips for vectors in fingerprint_blocks(network, [clip], device)]
    return np.concatenate([np.zeros((0, network[1].dim), np.float32), *parts])


def fingerprint_to_file(
    network: nn.Sequential, split: Split, device: torch.device, path: Path, shard: int = 0, shards: int = 1
) -> None:
    """Write the fingerprints of a split, or of a shard of it, as a (n, dim) float32 ``.npy`` file.

    The file has a temporary name until it is complete.
    """
    rows = shard_rows(len(split.segments), shard, shards)
    with written_whole(path) as part:
        shape = (rows.stop - rows.start, network[1].dim)
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
        fingerprint(on_device(network, device), split, device, out, rows.start, desc=f"fingerprints of {path.stem}")
        out.flush()
