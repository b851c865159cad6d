"""A folder of music, fingerprinted once and kept up to date: songs in a table, fingerprints in one growing file."""

import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.audio.landmarks import HOP as MARK_HOP
from nafp.audio.landmarks import landmarks
from nafp.audio.open import open_audio
from nafp.errors import UserError
from nafp.files import atomic_write, lock
from nafp.identify.places import find_audio
from nafp.identify.recognise import Catalogue, Recording, Tally
from nafp.search.index import read_index, update_index
from nafp.search.types import index_type_of
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import CHECKED_ROWS, NORM_TOLERANCE, Database, release_pages
from nafp.text import printable

MARKED = 60 * 8000 // MARK_HOP * MARK_HOP  # samples whose landmarks are computed at a time
COLLECTED = 8192  # fingerprints in one array
KEY = ("bytes", "mtime_ns", "ctime_ns")  # a file of the folder that has the same ones was not changed
TEXTS = ("path", "note", "problem", "reader")
COLUMNS = ("path", *KEY, "samples", "first", "rows", "first_mark", "marks", "note", "problem", "reader")
FINGERPRINTS, MARKS, SONGS = "fingerprints.f32", "marks.i32", "songs.jsonl"

Embed = Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]]  # a recording's int16 blocks -> (n, dim) fingerprints


def model_key(weights: Path | str, settings: Mapping) -> str:
    """A name for a model: its weights, features and architecture."""
    digest = hashlib.sha256(Path(weights).read_bytes())
    digest.update(json.dumps(dict(settings), sort_keys=True).encode())
    return digest.hexdigest()[:16]


def readers() -> str:
    """Versions of what decodes: a file that could not be read is tried again with others."""
    found = []
    for package in ("soundfile", "av"):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def hear(name: str, path: Path, embed: Embed) -> Recording:
    """A file as a recording to be identified, decoded block by block; UserError if it cannot be read."""
    with open_audio(path) as audio:
        blocks = Tally(audio.blocks())
        fingerprints = collected(embed(blocks))
        if not len(fingerprints):
            raise UserError(f"{path}: no samples")
        return Recording(name, fingerprints, blocks.samples, blocks.peak, audio.note)


def collected(parts: Iterable[np.ndarray]) -> np.ndarray:
    """(n, d) arrays, one behind the other.

    They are copied as they come: many small arrays, each allocated behind a batch's large ones, would break up the heap.
    """
    found, free = [np.zeros((0, 0), np.float32)], 0
    for part in parts:
        if free < len(part):
            found[-1] = found[-1][: len(found[-1]) - free]
            found.append(np.zeros((max(COLLECTED, len(part)), part.shape[1]), np.float32))
            free = len(found[-1])
        found[-1][len(found[-1]) - free :][: len(part)] = part
        free -= len(part)
    found[-1] = found[-1][: len(found[-1]) - free]
    return np.concatenate(found[1:]) if len(found) > 1 else found[0]


class Marks:
    """The landmarks of a recording whose blocks pass, computed MARKED samples at a time."""

    def __init__(self, blocks: Iterable[np.ndarray]):
        self.blocks, self.found, self.at = blocks, [np.zeros((0, 2), np.int32)], 0

    def __iter__(self) -> Iterator[np.ndarray]:
        waiting = np.zeros(0, np.int16)
        for block in self.blocks:
            waiting = np.concatenate([waiting, block])
            while len(waiting) >= MARKED:
                self._add(waiting[:MARKED])
                waiting = waiting[MARKED:]
            yield block
        self._add(waiting)

    def _add(self, samples: np.ndarray) -> None:
        self.found.append(landmarks(samples) + np.array([[0, self.at // MARK_HOP]], np.int32))
        self.at += len(samples)


class Library:
    """The songs of one folder and what one model makes of them, kept in ``store``; one process at a time has it open.

    ``songs``: one row a file: path (below the folder), bytes, mtime_ns, ctime_ns, samples, first (row of its first
    fingerprint), rows (0 for a broken file), first_mark and marks (of its landmarks), note (what could not be read of it),
    problem, reader. The fingerprints of files that changed or were deleted stay in their place, unused, so that an index of
    them stays true; when they are more than the others, the store is compacted. What a store lacks or has damaged is made again.
    """

    def __init__(self, store: Path | str, folder: Path | str, model: str, dim: int):
        self.store, self.root, self.dim = Path(store), Path(folder), dim
        self.facts = {"folder": os.path.abspath(folder), "model": model, "dim": dim}
        self._lock = lock(
            self.store / "lock", "another identify is at work on this library; wait for it, or name another store"
        )
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        found = read_facts(self.store / "library.json")
        if found is None:
            self.generation = 0
            self._write([], 0)
        else:
            self.generation = found.pop("generation")
            if found != self.facts:
                raise UserError(
                    f"{self.store}: holds the library {found.get('folder')} by the model {found.get('model')}, now it is "
                    f"{self.facts['folder']} by {self.facts['model']}; type  rm -r '{self.store}'  to do without the former, "
                    "or name another store"
                )
        self._rows = self._sound(read_lines(self.folder / SONGS))

    def close(self) -> None:
        """Let another process have the store."""
        self._lock.close()

    def __enter__(self) -> "Library":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def folder(self) -> Path:
        """Where songs, fingerprints and index are: a new folder each time that the store is compacted."""
        return self.store / str(self.generation)

    @property
    def songs(self) -> pd.DataFrame:
        """The table of songs; names are objects, since not all are text that Arrow takes."""
        columns = {name: [row[name] for row in self._rows] for name in COLUMNS}
        dtypes = {name: object if name in TEXTS else np.int64 for name in COLUMNS}
        return pd.DataFrame({name: pd.Series(columns[name], dtype=dtypes[name]) for name in COLUMNS})

    @property
    def rows(self) -> int:
        """Fingerprints in the file, used or not."""
        path = self.folder / FINGERPRINTS
        return path.stat().st_size // (4 * self.dim) if path.exists() else 0

    @property
    def vectors(self) -> np.ndarray:
        """(rows, dim) float32, memory-mapped."""
        return mapped(self.folder / FINGERPRINTS, np.float32, self.dim)

    @property
    def marks(self) -> np.ndarray:
        """(n, 2) int32, memory-mapped: the landmarks of all songs."""
        return mapped(self.folder / MARKS, np.int32, 2)

    def _sound(self, rows: list[dict]) -> list[dict]:
        """Those songs, of what the table says, whose fingerprints and landmarks are there; of one path the last one."""
        vectors, marks = self.vectors, len(self.marks)
        unit = np.zeros(len(vectors), bool)
        for first in range(0, len(vectors), CHECKED_ROWS):
            norms = np.linalg.norm(vectors[first : first + CHECKED_ROWS], axis=1)
            unit[first : first + CHECKED_ROWS] = np.abs(norms - 1) <= NORM_TOLERANCE
            release_pages(vectors)
        wrong = np.concatenate([[0], np.cumsum(~unit)])
        kept = {}
        for row in rows:
            first, end = row["first"], row["first"] + row["rows"]
            whole = 0 <= first <= end <= len(vectors) and row["first_mark"] + row["marks"] <= marks
            if whole and wrong[first] == wrong[end]:
                kept[row["path"]] = row
        if len(kept) < len({row["path"] for row in rows}):
            shutil.rmtree(self.folder / "index", ignore_errors=True)  # it may know rows that will mean other songs
        return list(kept.values())

    def _write(self, rows: list[dict], generation: int, vectors: Iterable = (), marks: Iterable = ()) -> None:
        """Begin a generation, with fingerprints and landmarks song by song; the one before counts until all is there."""
        folder = self.store / str(generation)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, parts in ((FINGERPRINTS, vectors), (MARKS, marks)):
            with open(folder / name, "wb") as file:
                for part in parts:
                    file.write(part.tobytes())
        write_lines(folder / SONGS, rows)
        with atomic_write(self.store / "library.json") as part:
            part.write_text(json.dumps(self.facts | {"generation": generation}), encoding="ascii")

    def _forget(self, known: Callable[[dict], bool]) -> None:
        """Keep the songs that are known still; the store is compacted if most fingerprints are of others."""
        kept = [row for row in self._rows if known(row)]
        if len(kept) < len(self._rows):
            self._rows = kept
        if 2 * sum(row["rows"] for row in kept) >= self.rows:
            write_lines(self.folder / SONGS, kept)
            return
        old, vectors, marks, first, first_mark = self.folder, self.vectors, self.marks, 0, 0
        parts = [vectors[row["first"] : row["first"] + row["rows"]] for row in kept]
        of_marks = [marks[row["first_mark"] : row["first_mark"] + row["marks"]] for row in kept]
        for i, row in enumerate(kept):
            kept[i] = row | {"first": first, "first_mark": first_mark}
            first, first_mark = first + row["rows"], first_mark + row["marks"]
        self._write(kept, self.generation + 1, parts, of_marks)
        self._rows, self.generation = kept, self.generation + 1
        shutil.rmtree(old, ignore_errors=True)

    def index(self, name: str, options: Mapping) -> SearchableIndex:
        """The named index of all fingerprints, brought up to date: only new ones are added to it; a damaged one is made again."""
        if (backend := index_type_of(name, options).backend) != "Faiss":
            raise UserError(
                f"identify.index: {name} is a {backend} collection, which takes no additions here; use ivfpq-rr"
            )
        folder, database = self.folder / "index", Database(self.vectors, self.vectors[:0])
        try:
            update_index(name, options, database, folder)
            return read_index(name, options, folder, database)
        except (UserError, OSError, ValueError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)
        update_index(name, options, database, folder)
        return read_index(name, options, folder, database)

    def catalogue(self) -> Catalogue:
        """Its songs, to choose from, by printable names."""
        songs, owner, marks = self.songs, self.song_of_row(), self.marks
        begin, count = songs["first_mark"].to_numpy(int), songs["marks"].to_numpy(int)
        database = Database(self.vectors, self.vectors[:0])
        names, first = [printable(path) for path in songs["path"]], songs["first"].to_numpy(int)
        return Catalogue(database, names, first, owner, lambda song: marks[begin[song] : begin[song] + count[song]])

    def song_of_row(self) -> np.ndarray:
        """(rows,) index into ``songs``; -1 where the song was deleted."""
        owner = np.full(self.rows, -1)
        for i, row in enumerate(self._rows):
            owner[row["first"] : row["first"] + row["rows"]] = i
        return owner

    def update(self, embed: Embed) -> pd.DataFrame:
        """Fingerprint what is new or changed below the folder, forget what was deleted; returns the broken files.

        Saved after every song: an interrupted update goes on where it was.
        """
        paths = {path.relative_to(self.root).as_posix(): path for path in find_audio(self.root)}
        keys = {name: key_of(path) for name, path in paths.items()}
        reader = readers()

        def known(row: dict) -> bool:
            unchanged = keys.get(row["path"]) == tuple(row[name] for name in KEY)
            return unchanged and (not row["problem"] or row["reader"] == reader)

        self._forget(known)
        new = sorted(paths.keys() - {row["path"] for row in self._rows})
        with open(self.folder / SONGS, "ab") as table:
            for name in tqdm(new, desc="library", unit="song", mininterval=1, disable=not new):
                row = {"path": name, **dict(zip(KEY, keys[name], strict=True)), "reader": reader}
                row |= self._add(paths[name], embed)
                table.write(json.dumps(row).encode("ascii") + b"\n")
                table.flush()
                self._rows.append(row)
        songs = self.songs
        return songs[songs["problem"] != ""]

    def _add(self, path: Path, embed: Embed) -> dict:
        """Append what a file's fingerprints and landmarks are; returns the other columns of its row."""
        first, first_mark = self.rows, len(self.marks)
        row = {"samples": 0, "first": first, "rows": 0, "first_mark": first_mark, "marks": 0, "note": "", "problem": ""}
        with open(self.folder / FINGERPRINTS, "ab") as file, open(self.folder / MARKS, "ab") as mark_file:
            file.truncate(first * self.dim * 4)  # half a fingerprint, if an update was interrupted
            mark_file.truncate(first_mark * 8)
            try:
                with open_audio(path) as audio:
                    blocks = Tally(audio.blocks())
                    marks = Marks(blocks)
                    for vectors in embed(marks):
                        file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
                        row["rows"] += len(vectors)
                    row |= {"samples": blocks.samples, "note": audio.note}
            except BaseException as error:
                file.flush()
                file.truncate(first * self.dim * 4)
                if not isinstance(error, UserError):
                    raise
                return row | {"rows": 0, "problem": str(error).removeprefix(f"{path}: ")}
            if not row["rows"]:
                return row | {"problem": "no samples"}
            found = np.concatenate(marks.found)
            mark_file.write(np.ascontiguousarray(found, np.int32).tobytes())
        return row | {"marks": len(found)}


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
    """What a store is of; None if there is none, or a damaged one, or one of an older form."""
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
        numbers = [name for name in COLUMNS if name not in TEXTS]
        if isinstance(row, dict) and row.keys() == set(COLUMNS) and all(isinstance(row[name], int) for name in numbers):
            rows.append(row)
    return rows


def write_lines(path: Path, rows: Iterable[dict]) -> None:
    """One JSON object a line, in ASCII: names of any bytes survive, and none of them breaks a line."""
    with atomic_write(path) as part:
        part.write_bytes(b"".join(json.dumps(row).encode("ascii") + b"\n" for row in rows))
