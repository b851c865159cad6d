"""Fingerprints that do not fit the clips they are of, seen from the sizes of files: without Faiss."""

from collections.abc import Sequence, Sized
from pathlib import Path

from nafp.errors import UserError
from nafp.npy import read_header, read_npy
from nafp.search.external import OURS, Exchanged, Grid

CONTENT = {"dummy": "the dummy songs", "test_db": "the test songs", "test_query": "the test queries"}
FLOATS = ("float16", "float32", "float64")


def check_rows(rows: int, samples: Sequence[int], split: str, source: Path | str, grid: Grid = OURS) -> None:
    """Refuse fingerprints that are not one for each segment of a split's clips; ``samples``: their lengths."""
    segments = sum(map(grid.count, samples))
    if rows != segments:
        what = CONTENT.get(split, f"the queries {split.removeprefix('query_')}")
        raise UserError(
            f"{source}: has {rows:,} fingerprints, but {what} have {segments:,} segments ({grid}); fingerprint exactly "
            "these clips"
        )


def check_all_rows(
    vectors: Sequence[Sized], samples: Sequence[Sequence[int]], sources: Sequence[Path | str], grid: Grid = OURS
) -> None:
    """``check_rows`` for the dummy songs, the test songs and the queries, in this order."""
    for split, rows, lengths, source in zip(CONTENT, map(len, vectors), samples, sources, strict=True):
        check_rows(rows, lengths, split, source, grid)


def check_exchanged(theirs: Exchanged, split: str, samples: Sequence[int] | None = None) -> tuple[int, int]:
    """(rows, dimensions) of the fingerprints of a split: a ``.npy`` file, or ``{part}.mm`` and its shape.

    ``samples``: lengths of the split's clips, None if they are not known yet. Raises UserError if a file is missing, if
    its size is not that of its shape, and for other rows than the clips have segments.
    """
    source, sources = theirs.source(split), theirs.sources(split)
    for file in sources:
        if not file.is_file():
            raise UserError(
                f"{file}: not found; a folder of fingerprints has {source.stem}.mm and its _shape.npy, or {source.stem}.npy"
            )
    if source.suffix == ".npy":
        rows, dim = check_npy(source)
    else:
        rows, dim = read_shape(sources[1], source)
        check_size(source.stat().st_size, rows, dim, source)
    if samples is not None:
        check_rows(rows, samples, split, source, theirs.grid)
    return rows, dim


def check_npy(source: Path) -> tuple[int, int]:
    """The two dimensions of a ``.npy`` of fingerprints; UserError if it is not one."""
    try:
        found = read_header(source)
    except (OSError, ValueError) as error:
        raise UserError(f"{source}: is not an array of fingerprints ({error}); make it again") from error
    if len(found.shape) != 2 or 0 in found.shape or found.dtype not in FLOATS or found.fortran:
        order = " in Fortran's order" if found.fortran else ""
        raise UserError(
            f"{source}: holds {found.dtype} of shape {found.shape}{order}, not floating-point numbers (rows, dimensions); save "
            "numpy.ascontiguousarray of them"
        )
    if source.stat().st_size != found.bytes:
        raise UserError(
            f"{source}: holds {source.stat().st_size:,} bytes, its header says {found.bytes:,}; make it again"
        )
    return found.shape[0], found.shape[1]


def read_shape(shape_file: Path, source: Path) -> tuple[int, int]:
    """The two numbers of a ``_shape.npy``; UserError if it holds anything else."""
    try:
        shape = read_npy(shape_file)
    except (OSError, ValueError) as error:
        raise UserError(f"{shape_file}: is not an array of two numbers ({error}); make it again") from error
    numbers = shape.numbers
    if shape.shape != (2,) or shape.dtype == "bool" or not all(number >= 1 and number % 1 == 0 for number in numbers):
        raise UserError(f"{shape_file}: holds {shape.tolist()}, not the rows and dimensions of {source.name}")
    return int(numbers[0]), int(numbers[1])


def check_size(size: int, rows: int, dim: int, source: Path) -> None:
    """Refuse a file whose size is not that of (rows, dim) float32 numbers."""
    advice_by_bytes = {8: "it seems to hold float64, save float32", 2: "it seems to hold float16, save float32"}
    if size != 4 * rows * dim:
        advice = advice_by_bytes.get(size / (rows * dim), "if an evaluation has appended to it, restore the original")
        raise UserError(f"{source}: holds {size} bytes, but {rows} x {dim} float32 need {rows * dim * 4}; {advice}")
