"""Fingerprints of packed splits, recordings and clips."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from nafp.audio.pools import AudioPool
from nafp.audio.segments import HOP, SEGMENT, sequence_samples
from nafp.audio.splits import Split
from nafp.disk import check_free_space
from nafp.files import atomic_write
from nafp.model.model import Model, on_device
from nafp.model.model import build_model as build_model

BATCH = 256  # segments
BATCH_ON_CPU = 32  # segments of a recording; larger batches only take more memory


def shard_rows(segments: int, shard: int, shards: int) -> slice:
    """The segments of shard ``shard`` (from 0) of ``shards``: whole batches of the split, in order, divided evenly.

    A matrix product may round a row differently depending on its position and batch, so shards of whole batches make the
    fingerprints the same to the bit for any number of shards.
    """
    batches = -(-segments // BATCH)
    first, end = (BATCH * (batches * n // shards) for n in (shard, shard + 1))
    return slice(min(first, segments), min(end, segments))


@torch.inference_mode()
def fingerprint(model: Model, split: Split, device: torch.device, out: np.ndarray, first: int = 0, **progress) -> None:
    """Fill ``out`` (n, dim) float32 with the fingerprints of n segments of a split, in their order.

    ``first``: number of the first of these segments, where a batch begins. The last batch is padded to the size of the
    others, so that no fingerprint depends on the number of segments.
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
            vectors = model(pool.cut(padded, SEGMENT))[: len(batch)]
            out[row : row + len(batch)] = vectors.float().cpu().numpy()
            bar.update(len(batch))


@torch.inference_mode()
def fingerprint_samples(model: Model, samples: np.ndarray, device: torch.device) -> np.ndarray:
    """(T,) int16 samples, at least a segment -> (n, dim) fingerprints of its segments, in one batch."""
    segments = torch.from_numpy(np.ascontiguousarray(samples)).to(device).unfold(0, SEGMENT, HOP)
    return model(segments.float().div_(32768)).float().cpu().numpy()


def fingerprint_blocks(model: Model, blocks: Iterable[np.ndarray], device: torch.device) -> Iterator[np.ndarray]:
    """(T,) int16 blocks of one recording -> (n, dim) fingerprints of its segments, a batch at a time, in order.

    Memory holds one batch, however long the recording is. A recording shorter than a segment is padded with zeros; one without
    samples has no fingerprints.
    """
    batch = BATCH if device.type == "cuda" else BATCH_ON_CPU
    samples, waiting, found = sequence_samples(batch), np.zeros(0, np.int16), False
    for block in blocks:
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= samples:
            yield fingerprint_samples(model, waiting[:samples], device)
            waiting, found = waiting[batch * HOP :], True
    if len(waiting) >= SEGMENT or (len(waiting) and not found):
        yield fingerprint_samples(model, np.pad(waiting, (0, max(SEGMENT - len(waiting), 0))), device)


def fingerprint_clips(model: Model, clips: list[np.ndarray], device: torch.device) -> np.ndarray:
    """(T,) int16 clips -> (n, dim) fingerprints of all their segments, clip after clip; a clip under 1 s is one segment."""
    parts = [vectors for clip in clips for vectors in fingerprint_blocks(model, [clip], device)]
    return np.concatenate([np.zeros((0, model.dim), np.float32), *parts])


def fingerprint_to_file(
    model: Model, split: Split, device: torch.device, path: Path, shard: int = 0, shards: int = 1
) -> None:
    """Write the fingerprints of a split, or of a shard of it, as a (n, dim) float32 ``.npy`` file, atomically.

    UserError if there is no room for it: a full disk kills a process that writes into a mapped file.
    """
    rows = shard_rows(len(split.segments), shard, shards)
    shape = (rows.stop - rows.start, model.dim)
    check_free_space({path.parent: 4 * shape[0] * shape[1]}, f"fingerprints {path.name}")
    with atomic_write(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
        fingerprint(on_device(model, device), split, device, out, rows.start, desc=f"fingerprints of {path.stem}")
        out.flush()
