"""Fingerprints in the published code's format: raw float32 ``{part}.mm`` and ``{part}_shape.npy`` with (n, d)."""

from pathlib import Path

import numpy as np

from nafp.data.layout import EXCHANGED
from nafp.errors import UserError
from nafp.files import reading, written_whole
from nafp.search.vectors import open_vectors

ROWS = 2**18  # copied at a time


def export_vectors(source: Path | str, folder: Path | str, split: str) -> None:
    """Write a ``.npy`` file of fingerprints as ``{part}.mm`` and ``{part}_shape.npy``."""
    vectors, folder = open_vectors(source), Path(folder)
    with written_whole(folder / f"{EXCHANGED[split]}.mm") as part, open(part, "wb") as out:
        for first in range(0, len(vectors), ROWS):
            out.write(np.ascontiguousarray(vectors[first : first + ROWS], "<f4").tobytes())
    np.save(folder / f"{EXCHANGED[split]}_shape.npy", np.array(vectors.shape))


def import_vectors(folder: Path | str, split: str, path: Path | str) -> None:
    """Write ``{part}.mm`` as a ``.npy`` file of fingerprints.

    Raises UserError if a file is missing, if the sizes disagree, and for rows that are no unit vectors.
    """
    source, shape_file = (Path(folder) / f"{EXCHANGED[split]}{end}" for end in (".mm", "_shape.npy"))
    for file in (source, shape_file):
        if not file.is_file():
            raise UserError(f"{file}: not found; a folder of fingerprints has {EXCHANGED[split]}.mm and its _shape.npy")
    with reading(shape_file):
        rows, dim = (int(n) for n in np.load(shape_file))
    if source.stat().st_size != rows * dim * 4:
        raise UserError(
            f"{source}: holds {source.stat().st_size} bytes, but {rows} x {dim} float32 need {rows * dim * 4}; "
            "if an evaluation has appended to it, restore the original"
        )
    vectors = np.memmap(source, "<f4", mode="r", shape=(rows, dim))
    with written_whole(path) as part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.float32, shape=(rows, dim))
        for first in range(0, rows, ROWS):
            out[first : first + ROWS] = vectors[first : first + ROWS]
        out.flush()
        open_vectors(part)
