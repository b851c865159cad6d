"""Fingerprints in the original's format: raw float32 ``{part}.mm`` and ``{part}_shape.npy`` with (n, d)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.search.checks import check_exchanged
from nafp.search.external import EXCHANGED, Exchanged
from nafp.search.vectors import check_unit, open_vectors

CHUNK_ROWS = 2**18  # fingerprints copied at a time


def export_vectors(source: Path | str, folder: Path | str, split: str) -> None:
    """Write a ``.npy`` file of fingerprints as ``{part}.mm`` and ``{part}_shape.npy``."""
    vectors, folder = open_vectors(source), Path(folder)
    with atomic_write(folder / f"{EXCHANGED[split]}.mm") as part, open(part, "wb") as out:
        for first in range(0, len(vectors), CHUNK_ROWS):
            out.write(np.ascontiguousarray(vectors[first : first + CHUNK_ROWS], "<f4").tobytes())
    np.save(folder / f"{EXCHANGED[split]}_shape.npy", np.array(vectors.shape))


def import_vectors(
    theirs: Exchanged | Path | str, split: str, path: Path | str, samples: Sequence[int] | None = None
) -> None:
    """Write somebody's fingerprints of a split as a ``.npy`` file of ours.

    ``theirs``: an entry of the config's ``external``, or a folder. ``samples``: lengths of the split's clips, whose segments
    the rows must be (None: not checked). Raises UserError if a file is missing, if sizes or counts disagree, and for rows that
    are no unit vectors, or that cannot be normalized.
    """
    theirs = theirs if isinstance(theirs, Exchanged) else Exchanged.of(theirs)
    source, shape = theirs.source(split), check_exchanged(theirs, split, samples)
    vectors = (
        np.load(source, mmap_mode="r") if source.suffix == ".npy" else np.memmap(source, "<f4", mode="r", shape=shape)
    )
    with atomic_write(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=shape)
        for first in range(0, len(vectors), CHUNK_ROWS):
            rows = np.asarray(vectors[first : first + CHUNK_ROWS], np.float32)
            rows = normalized(rows, source, first) if theirs.normalize else rows
            check_unit(rows, source, first)
            out[first : first + CHUNK_ROWS] = rows
        out.flush()


def normalized(rows: np.ndarray, source: Path, first: int) -> np.ndarray:
    """(n, d) rows of length 1; UserError for one that has no direction. ``first``: number of the first row in its file."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    bad = ~(np.isfinite(lengths) & (lengths > 0))[:, 0]
    if bad.any():
        row = int(np.argmax(bad))
        raise UserError(
            f"{source}: row {first + row} has length {lengths[row, 0]:g} and cannot be normalized; make it again"
        )
    return (rows / lengths).astype(np.float32)
