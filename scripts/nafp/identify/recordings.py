"""A sound file as a recording: fingerprints and landmarks, made block by block, so that memory does not grow with its length."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nafp.audio.landmarks import HOP as LANDMARK_HOP
from nafp.audio.landmarks import landmarks
from nafp.audio.open import open_audio
from nafp.audio.segments import HOP, SAMPLE_RATE, segments_of
from nafp.errors import UserError

LANDMARK_BLOCK = 60 * SAMPLE_RATE // LANDMARK_HOP * LANDMARK_HOP  # samples whose landmarks are computed at a time
CHUNK_ROWS = 8192  # fingerprints in one array
SILENCE = 32768 * 10 ** (-60 / 20)  # peak below which sound counts as silence: it resembles that in any song
ALL_SILENT = "silence: nothing reaches -60 dB of full scale"

Embed = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]  # a recording's int16 blocks -> (n, dim) fingerprints


@dataclass(frozen=True)
class Recording:
    """A recording to be identified: (n, d) fingerprints, its length in samples, its peak (0 to 32768).

    ``note``: what its decoder says of it, '' if all of it was read; ``peaks``: (n,) of its segments, None if unknown.
    """

    name: str
    fingerprints: np.ndarray
    samples: int
    peak: int
    note: str = ""
    peaks: np.ndarray | None = None

    @property
    def silent(self) -> np.ndarray:
        """(n,) bool: the segments without sound."""
        peaks = np.full(len(self.fingerprints), self.peak) if self.peaks is None else self.peaks
        return peaks < SILENCE


class BlockMeter:
    """Blocks of samples (T,) int16 as they pass: the number of samples so far, and their peaks, 0 to 32768."""

    def __init__(self, blocks: Iterable[np.ndarray]):
        self.blocks, self.samples = blocks, 0
        self._of_hops = np.zeros(1, np.int32)  # peak of every HOP samples, and 0 behind them

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self.blocks:
            hop = np.arange(self.samples, self.samples + len(block)) // HOP
            self.samples += len(block)
            self._of_hops = np.pad(self._of_hops, (0, -(-self.samples // HOP) + 1 - len(self._of_hops)))
            np.maximum.at(self._of_hops, hop, np.abs(block.astype(np.int32)))
            yield block

    @property
    def peak(self) -> int:
        """Of all samples so far."""
        return int(self._of_hops.max())

    @property
    def peaks(self) -> np.ndarray:
        """(n,) of all segments so far."""
        return np.maximum(self._of_hops[:-1], self._of_hops[1:])[: segments_of(self.samples)]


class BlockLandmarks:
    """Blocks of samples (T,) int16 as they pass, and the landmarks of all of them, ``found``."""

    def __init__(self, blocks: Iterable[np.ndarray]):
        self.blocks, self.found, self.at = blocks, [np.zeros((0, 2), np.int32)], 0

    def __iter__(self) -> Iterator[np.ndarray]:
        waiting = np.zeros(0, np.int16)
        for block in self.blocks:
            waiting = np.concatenate([waiting, block])
            while len(waiting) >= LANDMARK_BLOCK:
                self._add(waiting[:LANDMARK_BLOCK])
                waiting = waiting[LANDMARK_BLOCK:]
            yield block
        self._add(waiting)

    def _add(self, samples: np.ndarray) -> None:
        self.found.append(landmarks(samples) + np.array([[0, self.at // LANDMARK_HOP]], np.int32))
        self.at += len(samples)


def read_recording(name: str, path: Path, embed: Embed) -> Recording:
    """A file as a recording to be identified, decoded block by block; UserError if it cannot be read."""
    with open_audio(path) as audio:
        recording = record(name, audio.blocks(), embed)
        if not recording.samples:
            raise UserError(f"{path}: no samples")
        return replace(recording, note=audio.note)


def record(name: str, blocks: Iterable[np.ndarray], embed: Embed) -> Recording:
    """Blocks of samples (T,) int16 as a recording."""
    meter = BlockMeter(blocks)
    fingerprints = concatenated(embed(meter))
    return Recording(name, fingerprints, meter.samples, meter.peak, peaks=meter.peaks)


def concatenated(parts: Iterable[np.ndarray]) -> np.ndarray:
    """(n, d) arrays, one behind the other.

    Parts are copied as they come: many small arrays, each allocated behind the large ones of a batch, fragment the heap.
    """
    found, free = [np.zeros((0, 0), np.float32)], 0
    for part in parts:
        if free < len(part):
            found[-1] = found[-1][: len(found[-1]) - free]
            found.append(np.zeros((max(CHUNK_ROWS, len(part)), part.shape[1]), np.float32))
            free = len(found[-1])
        found[-1][len(found[-1]) - free :][: len(part)] = part
        free -= len(part)
    found[-1] = found[-1][: len(found[-1]) - free]
    return np.concatenate(found[1:]) if len(found) > 1 else found[0]


def readers() -> str:
    """Versions of the decoders: a file that they could not read is tried again by others."""
    found = []
    for package in ("soundfile", "av"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)
