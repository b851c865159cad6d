"""A folder of music, fingerprinted once and kept up to date: songs in a table, fingerprints in one growing file."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.audio.open import open_audio
from nafp.errors import Unavailable, UserError, problem_of
from nafp.files import atomic_write, lock
from nafp.identify.options import check_index
from nafp.identify.places import find_audio
from nafp.identify.recordings import ALL_SILENT, SILENCE, BlockLandmarks, BlockMeter, Embed, readers
from nafp.identify.store import (
    COLUMNS,
    FINGERPRINTS,
    KEY,
    MARKS,
    NUMBERS,
    SONGS,
    key_of,
    mapped,
    read_facts,
    read_lines,
    runs_of,
    write_lines,
)
from nafp.identify.windows import Catalogue
from nafp.search.index import read_index, update_index
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import CHECKED_ROWS, NORM_TOLERANCE, Database, release_pages
from nafp.text import printable


class Library:
    """The songs of one folder with their fingerprints by one model, kept in ``store``; one process at a time has it open.

    ``songs``: one row a file: path (below the folder), bytes, mtime_ns, ctime_ns, samples, first (row of its first
    fingerprint), rows (0 for a broken file), first_mark and marks (of its landmarks), silent (runs of its rows without
    sound), note (what could not be read of it), problem, reader. The fingerprints of files that changed or were deleted stay
    in their place, unused, so that an index of them stays valid; when more than half are unused, the store is compacted.
    What is missing or damaged in a store is made again.
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
        self._rows, whole = self._intact(read_lines(self.folder / SONGS))
        if not whole:
            self._compact(self._rows)

    def close(self) -> None:
        """Release the store for other processes."""
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
        dtypes = {name: np.int64 if name in NUMBERS else object for name in COLUMNS}
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

    def _intact(self, rows: list[dict]) -> tuple[list[dict], bool]:
        """Songs of the table whose fingerprints and landmarks are in their files and undamaged; of one path, the last row.

        Also whether all fingerprints in the file are undamaged: an index is trained on those of no song too.
        """
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
            shutil.rmtree(self.folder / "index", ignore_errors=True)  # its rows may come to mean other songs
        return list(kept.values()), not wrong[-1]

    def _write(self, rows: list[dict], generation: int, vectors: Iterable = (), marks: Iterable = ()) -> None:
        """Write a generation, fingerprints and landmarks song by song; the previous one is valid until this one is complete."""
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

    def _drop_unknown(self, known: Callable[[dict], bool]) -> None:
        """Drop the songs that are not known any more; compact the store if most of its fingerprints are theirs."""
        kept = [row for row in self._rows if known(row)]
        if len(kept) < len(self._rows):
            self._rows = kept
        if 2 * sum(row["rows"] for row in kept) >= self.rows:
            write_lines(self.folder / SONGS, kept)
            return
        self._compact(kept)

    def _compact(self, rows: list[dict]) -> None:
        """Write some of the songs, and no other fingerprints, as the next generation."""
        kept = list(rows)
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
        check_index(name, options)
        folder, database = self.folder / "index", Database(self.vectors, self.vectors[:0])
        try:
            update_index(name, options, database, folder)
            return read_index(name, options, folder, database)
        except (UserError, OSError, ValueError, KeyError):
            shutil.rmtree(folder, ignore_errors=True)
        update_index(name, options, database, folder)
        return read_index(name, options, folder, database)

    def catalogue(self) -> Catalogue:
        """Songs of the library for ``recognise``, by printable names."""
        songs, owner, marks = self.songs, self.song_of_row(), self.marks
        begin, count = songs["first_mark"].to_numpy(int), songs["marks"].to_numpy(int)
        database = Database(self.vectors, self.vectors[:0])
        names, first = [printable(path) for path in songs["path"]], songs["first"].to_numpy(int)

        def marks_of(song: int) -> np.ndarray:
            return marks[begin[song] : begin[song] + count[song]]

        return Catalogue(database, names, first, owner, marks_of, self.silent_rows())

    def song_of_row(self) -> np.ndarray:
        """(rows,) index into ``songs``; -1 where the song was deleted."""
        owner = np.full(self.rows, -1)
        for i, row in enumerate(self._rows):
            owner[row["first"] : row["first"] + row["rows"]] = i
        return owner

    def silent_rows(self) -> np.ndarray:
        """(rows,) bool: the fingerprints of segments without sound."""
        silent = np.zeros(self.rows, bool)
        for row in self._rows:
            for begin, end in row["silent"]:
                silent[row["first"] + begin : row["first"] + end] = True
        return silent

    def update(self, embed: Embed) -> pd.DataFrame:
        """Fingerprint new and changed files of the folder, drop the deleted ones; returns what is broken: path, problem.

        Saved after every song: an interrupted update is continued by the next one. The songs of a folder that cannot be read
        now stay as they are, and so does the song of a link to nothing. A file that the system cannot read just now is broken
        in this update only: the next one tries it again.
        """
        unreadable: dict[str, UserError] = {}
        paths = {path.relative_to(self.root).as_posix(): path for path in find_audio(self.root, unreadable)}
        lost = {
            Path(path).relative_to(self.root).as_posix(): problem_of(error, path) for path, error in unreadable.items()
        }
        keys = {name: key_of(path) for name, path in paths.items()}
        reader = readers()

        def known(row: dict) -> bool:
            if not lost.keys().isdisjoint([row["path"], *map(str, PurePosixPath(row["path"]).parents)]):
                return True
            unchanged = keys.get(row["path"]) == tuple(row[name] for name in KEY)
            return unchanged and (not row["problem"] or row["reader"] == reader)

        self._drop_unknown(known)
        new = sorted(paths.keys() - {row["path"] for row in self._rows})
        with open(self.folder / SONGS, "ab") as table:
            for name in tqdm(new, desc="library", unit="song", mininterval=1, disable=not new):
                row = {"path": name, **dict(zip(KEY, keys[name], strict=True)), "reader": reader}
                try:
                    row |= self._add(paths[name], embed)
                except Unavailable as error:  # without a row, so that the next update tries again
                    lost[name] = problem_of(error, paths[name])
                    continue
                table.write(json.dumps(row).encode("ascii") + b"\n")
                table.flush()
                self._rows.append(row)
        songs = self.songs
        broken = songs.loc[songs["problem"] != "", ["path", "problem"]]
        return pd.concat([broken, pd.DataFrame({"path": lost.keys(), "problem": lost.values()})], ignore_index=True)

    def _add(self, path: Path, embed: Embed) -> dict:
        """Append the fingerprints and landmarks of a file; returns the other columns of its row. Unavailable, after removing
        what was appended, if the system could not read it."""
        first, first_mark = self.rows, len(self.marks)
        row = {"samples": 0, "first": first, "rows": 0, "first_mark": first_mark, "marks": 0}
        row |= {"silent": [], "note": "", "problem": ""}
        with open(self.folder / FINGERPRINTS, "ab") as file, open(self.folder / MARKS, "ab") as mark_file:
            file.truncate(first * self.dim * 4)  # half a fingerprint, if an update was interrupted
            mark_file.truncate(first_mark * 8)
            try:
                with open_audio(path) as audio:
                    blocks = BlockMeter(audio.blocks())
                    marks = BlockLandmarks(blocks)
                    for vectors in embed(marks):
                        file.write(np.ascontiguousarray(vectors, np.float32).tobytes())
                        row["rows"] += len(vectors)
                    notes = audio.note, ALL_SILENT if blocks.peak < SILENCE else ""
                    row |= {"samples": blocks.samples, "note": "; ".join(filter(None, notes))}
                    row["silent"] = runs_of(blocks.peaks < SILENCE) if row["rows"] else []
            except BaseException as error:
                file.flush()
                file.truncate(first * self.dim * 4)
                if not isinstance(error, UserError) or isinstance(error, Unavailable):
                    raise
                return row | {"rows": 0, "problem": problem_of(error, path)}
            if not row["rows"]:
                return row | {"problem": "no samples"}
            found = np.concatenate(marks.found)
            mark_file.write(np.ascontiguousarray(found, np.int32).tobytes())
        return row | {"marks": len(found)}
