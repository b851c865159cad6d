"""Songs that nobody made: fingerprints drawn from a model of the songs at hand, as distractors in any number.

The idea is that of arXiv 2509.18620, the model a smaller one: a song is a Gaussian vector around the mean of all songs, its
segments move around that by a first-order autoregression along each principal axis, by as much as those of a song at hand,
and every fingerprint is divided by its norm. So songs differ, neighbouring segments are alike, and nothing else is: no loop, no
verse that returns, no second song by the same band. Fitted in seconds, and drawn by a seed, so nothing is stored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nafp.files import atomic_write
from nafp.search.vectors import Database

FITTED_SONGS = 2000  # at most, evenly spaced
SONGS = 64  # generated at a time


@dataclass(frozen=True)
class SongModel:
    """Songs: their ``mean`` (d,) and ``between`` (d, d), a square root of their covariance.

    Segments move around their song along ``axes`` (d, d), one a row, with standard deviations ``deviation`` (d,) and ``memory``
    (d,), the correlation of neighbours. ``spread``: (songs,) how many times as far as on average, for each song at hand.
    """

    mean: np.ndarray
    between: np.ndarray
    axes: np.ndarray
    deviation: np.ndarray
    memory: np.ndarray
    spread: np.ndarray

    def stream(self, songs: int, rows: int, seed: int | list[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Blocks of ``songs`` new songs of ``rows`` segments: unit vectors (n, d) and the song of each, from 0."""
        rng = np.random.default_rng(seed)
        for first in range(0, songs, SONGS):
            count = min(SONGS, songs - first)
            at = self.mean + rng.standard_normal((count, len(self.mean))) @ self.between.T
            steps = rng.standard_normal((rows, count, len(self.mean)))
            steps[1:] *= np.sqrt(1 - self.memory**2)
            for i in range(1, rows):
                steps[i] += self.memory * steps[i - 1]
            far = rng.choice(self.spread, count)[:, None] * self.deviation
            vectors = at[:, None] + (steps * far).transpose(1, 0, 2) @ self.axes
            vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
            numbers = np.repeat(np.arange(first, first + count), rows)
            yield vectors.reshape(-1, len(self.mean)).astype(np.float32), numbers


def fit_songs(vectors: np.ndarray, songs: np.ndarray) -> SongModel:
    """The model of fingerprints (n, d) in their order and the song of each (n,), neighbours of one song beside each other."""
    _, songs, counts = np.unique(songs, return_inverse=True, return_counts=True)
    centres = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(centres, songs, vectors)
    centres /= counts[:, None]
    moves = vectors - centres[songs]
    variance, axes = np.linalg.eigh(moves.T @ moves / len(moves))
    along = moves @ axes
    same = songs[1:] == songs[:-1]
    memory = (along[1:] * along[:-1])[same].mean(axis=0) / np.maximum(variance, np.finfo(np.float32).eps)
    of_song = np.bincount(songs, np.square(moves).sum(axis=1)) / counts
    spread = np.sqrt(of_song / max(of_song.mean(), np.finfo(np.float32).tiny))
    kinds, where = np.linalg.eigh(np.cov(centres.T))
    between = where * np.sqrt(np.maximum(kinds, 0))
    return SongModel(
        centres.mean(axis=0), between, axes.T, np.sqrt(np.maximum(variance, 0)), np.clip(memory, -0.99, 0.99), spread
    )


def fit_part(database: Database, songs: np.ndarray, chosen: np.ndarray) -> SongModel:
    """The model of the ``chosen`` songs (songs,) of a database, whose rows belong to ``songs`` (rows,)."""
    numbers = np.flatnonzero(chosen)
    numbers = numbers[np.unique(np.linspace(0, len(numbers) - 1, min(len(numbers), FITTED_SONGS)).astype(int))]
    begins, ends, first = np.searchsorted(songs, numbers), np.searchsorted(songs, numbers, "right"), len(database.dummy)
    parts = [
        np.asarray(database.dummy[a:b] if b <= first else database.db[a - first : b - first])
        for a, b in zip(begins, ends, strict=True)
    ]
    return fit_songs(np.concatenate(parts).astype(float), np.repeat(numbers, ends - begins))


def generated_to_file(model: SongModel, songs: int, rows: int, seed: list[int], path: Path) -> None:
    """Write ``songs`` new songs of ``rows`` segments as a (n, d) float32 ``.npy`` file, atomically."""
    with atomic_write(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(songs * rows, len(model.mean)))
        first = 0
        for vectors, _ in tqdm(
            model.stream(songs, rows, seed), total=-(-songs // SONGS), desc="generating", unit="block"
        ):
            out[first : first + len(vectors)] = vectors
            first += len(vectors)
        out.flush()
