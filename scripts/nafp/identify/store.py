"""Files of a library's store: a table of songs that is appended to, and arrays without a header that grow."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from nafp.files import atomic_write

KEY = ("bytes", "mtime_ns", "ctime_ns")  # a file of the folder that has the same ones was not changed
NUMBERS = (*KEY, "samples", "first", "rows", "first_mark", "marks")
COLUMNS = ("path", *NUMBERS, "silent", "note", "problem", "reader")
FINGERPRINTS, MARKS, SONGS = "fingerprints.f32", "marks.i32", "songs.jsonl"


def model_key(weights: Path | str, settings: Mapping) -> str:
    """A name for a model: its weights, features and architecture."""
    digest = hashlib.sha256(Path(weights).read_bytes())
    digest.update(json.dumps(dict(settings), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def key_of(path: Path) -> tuple[int, int, int]:
    """Size, and times of change of a file's content and of the file; zeros if it went since."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def mapped(path: Path, dtype: type, columns: int) -> np.ndarray:
    """(n, columns) of a file of numbers without a header, memory-mapped; a last row that is not complete does not count."""
    rows = path.stat().st_size // (np.dtype(dtype).itemsize * columns) if path.exists() else 0
    if not rows:
        return np.empty((0, columns), dtype)
    return np.memmap(path, dtype, mode="r", shape=(rows, columns))


def read_facts(path: Path) -> dict | None:
    """Folder, model, dimension and generation of a store; None if it is not there, damaged, or of an older form."""
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) and {"generation", "folder"} <= facts.keys() else None


def read_lines(path: Path) -> list[dict]:
    """The rows of a table that is appended to; lines that are torn or damaged do not count."""
    rows = []
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.keys() == set(COLUMNS) and all(isinstance(row[name], int) for name in NUMBERS):
            rows.append(row)
    return rows


def runs_of(flags: np.ndarray) -> list[list[int]]:
    """Where (n,) bool are true: first and behind the last, run by run."""
    edges = np.flatnonzero(np.diff(np.pad(flags.astype(np.int8), 1)))
    return edges.reshape(-1, 2).tolist()


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """One JSON object a line, in ASCII: names of any bytes survive, and none of them breaks a line."""
    with atomic_write(path) as part:
        part.write_bytes(b"".join(json.dumps(row).encode("ascii") + b"\n" for row in rows))
