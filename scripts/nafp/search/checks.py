"""What a search cannot do, known from the config, the lengths of clips and the user's own files: without Faiss."""

from collections.abc import Mapping, Sequence, Sized
from pathlib import Path

from nafp.audio.segments import segments_of
from nafp.errors import UserError
from nafp.npy import read_npy

EXCHANGED = {"test_db": "db", "test_query": "query", "dummy": "dummy_db"}  # split -> name in the original's format
FEWEST = {  # dummy fingerprints that an index is trained on, where it is not 2
    "l2": 0,
    "hnsw": 0,
    "milvus": 0,
    "ivfpq-fastscan": 16,  # its codes have 4 bits, whatever there is
}
LITE_TYPES = (
    "AUTOINDEX",
    "BRUTE_FORCE",
    "FLAT",
    "HNSW",
    "HNSW_SQ",
    "IVF_FLAT",
    "IVF_SQ8",
)  # index types of Milvus Lite
CONTENT = {"dummy": "the dummy songs", "test_db": "the test songs", "test_query": "the test queries"}


def type_of(name: str, options: Mapping) -> tuple[str, dict]:
    """The type of a named index, which is its option ``type`` or its name, and the other options."""
    options = dict(options)
    return options.pop("type", name), options


def codes_of(wanted: int, dim: int) -> int:
    """Codes that a product quantiser stores a fingerprint as: those wanted, at most one for each dimension.

    The paper (3.5) has 64 codes, for d = 16 and 32 (Table 4) too, where Faiss cannot cut so many pieces, and does not say
    what was done: one code a dimension is the finest there is. Raises UserError if they do not divide the dimensions.
    """
    codes = min(wanted, dim)
    if dim % codes:
        possible = [n for n in range(1, dim + 1) if dim % n == 0]
        raise UserError(
            f"codes: {wanted} does not divide the fingerprint's {dim} dimensions; use one of {', '.join(map(str, possible))}"
        )
    return codes


def check_training(kind: str, vectors: int) -> None:
    """Refuse to train an index of a type on so few dummy fingerprints."""
    if vectors < FEWEST.get(kind, 2):
        raise UserError(f"{kind}: {vectors} dummy fingerprints are too few to train it; use l2, or a larger database")


def check_milvus(options: Mapping) -> None:
    """Refuse what Milvus Lite has no index for; a server says by itself what it has."""
    if options["uri"] is None and options["index_type"] not in LITE_TYPES:
        raise UserError(
            f"milvus: Milvus Lite has no index_type {options['index_type']!r}; use one of {', '.join(LITE_TYPES)}, or a server"
        )
    if options["build"].get("M", 2) < 2:
        raise UserError("milvus: build.M: a graph of 1 link a node crashes Faiss; use 2 or more")


def check_rows(rows: int, samples: Sequence[int], split: str, source: Path | str) -> None:
    """Refuse fingerprints that are not those of the segments of a split's clips (their lengths, ``samples``), one each."""
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
    """(rows, dimensions) of the fingerprints of a split in the published code's format: ``{part}.mm`` and its shape.

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
    """Refuse a file that has not the bytes of (rows, dim) float32 numbers."""
    each = {8: "it seems to hold float64, save float32", 2: "it seems to hold float16, save float32"}
    if size != 4 * rows * dim:
        advice = each.get(size / (rows * dim), "if an evaluation has appended to it, restore the original")
        raise UserError(f"{source}: holds {size} bytes, but {rows} x {dim} float32 need {rows * dim * 4}; {advice}")
