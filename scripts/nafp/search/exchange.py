"""Fingerprints in the original's format: raw float32 ``{part}.mm`` and ``{part}_shape.npy`` with (n, d)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nafp.files import atomic_write
from nafp.search.checks import EXCHANGED, check_exchanged
from nafp.search.vectors import check_unit, open_vectors

CHUNK_ROWS = 2**18  # fingerprints copied at a time


def export_vectors(source: Path | str, folder: Path | str, split: str) -> None:
    """Write a ``.npy`` file of fingerprints as ``{part}.mm`` and ``{part}_shape.npy``."""
    vectors, folder = open_vectors(source), Path(folder)
    with atomic_write(folder / f"{EXCHANGED[split]}.mm") as part, open(part, "wb") as out:
        for first in range(0, len(vectors), CHUNK_ROWS):
            out.write(np.ascontiguousarray(vectors[first : first + CHUNK_ROWS], "<f4").tobytes())
    np.save(folder / f"{EXCHANGED[split]}_shape.npy", np.array(vectors.shape))


def import_vectors(folder: Path | str, split: str, path: Path | str, samples: Sequence[int] | None = None) -> None:
    """Write ``{part}.mm`` as a ``.npy`` file of fingerprints.

    ``samples``: lengths of the split's clips, whose segments the rows must be (None: not checked). Raises UserError if a
    file is missing, if sizes or counts disagree, and for rows that are no unit vectors.
    """
    source = Path(folder) / f"{EXCHANGED[split]}.mm"
    vectors = np.memmap(source, "<f4", mode="r", shape=check_exchanged(folder, split, samples))
    with atomic_write(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=vectors.shape)
        for first in range(0, len(vectors), CHUNK_ROWS):
            check_unit(vectors[first : first + CHUNK_ROWS], source, first)
            out[first : first + CHUNK_ROWS] = vectors[first : first + CHUNK_ROWS]
        out.flush()
