"""Fingerprints that do not fit the clips they are of, seen from the sizes of files: without Faiss."""

from collections.abc import Sequence, Sized
from pathlib import Path

from nafp.audio.segments import segments_of
from nafp.errors import UserError
from nafp.npy import read_npy

EXCHANGED = {"test_db": "db", "test_query": "query", "dummy": "dummy_db"}  # split -> name in the original's format
CONTENT = {"dummy": "the dummy songs", "test_db": "the test songs", "test_query": "the test queries"}


def check_rows(rows: int, samples: Sequence[int], split: str, source: Path | str) -> None:
    """Refuse fingerprints that are not one for each segment of a split's clips; ``samples``: their lengths."""
    segments = sum(map(segments_of, samples))
    if rows != segments:
        raise UserError(
            f"{source}: has {rows:,} fingerprints, but {CONTENT[split]} have {segments:,} segments (1 s, every 0.5 s, clip "
            "after clip); fingerprint exactly these clips"
        )


def check_all_rows(vectors: Sequence[Sized], samples: Sequence[Sequence[int]], sources: Sequence[Path | str]) -> None:
    """``check_rows`` for the dummy songs, the test songs and the queries, in this order."""
    for split, rows, lengths, source in zip(CONTENT, map(len, vectors), samples, sources, strict=True):
        check_rows(rows, lengths, split, source)


def check_exchanged(folder: Path | str, split: str, samples: Sequence[int] | None = None) -> tuple[int, int]:
    """(rows, dimensions) of the fingerprints of a split in the original's format: ``{part}.mm`` and its shape.

    ``samples``: lengths of the split's clips, None if they are not known yet. Raises UserError if a file is missing, if
    the sizes of the two files disagree, and for other rows than the clips have segments.
    """
    source, shape_file = (Path(folder) / f"{EXCHANGED[split]}{end}" for end in (".mm", "_shape.npy"))
    for file in (source, shape_file):
        if not file.is_file():
            raise UserError(f"{file}: not found; a folder of fingerprints has {EXCHANGED[split]}.mm and its _shape.npy")
    rows, dim = read_shape(shape_file, source)
    check_size(source.stat().st_size, rows, dim, source)
    if samples is not None:
        check_rows(rows, samples, split, source)
    return rows, dim


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
