"""Real recordings with annotations, as their publishers lay them out: which part of which file is which song.

Without pandas: planning looks at the folders.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nafp.errors import UserError
from nafp.walk import files_below, is_audio


@dataclass(frozen=True)
class Excerpt:
    """From ``begin_s`` to ``end_s`` (None: its end), ``file`` is a recording of ``song``.

    ``song_start_s``: where in the song it begins; None if that is not known. ``row``: of the table of annotations.
    """

    file: Path
    begin_s: float
    end_s: float | None
    song: str
    song_start_s: float | None
    row: int


@dataclass(frozen=True)
class Collection:
    """Songs by name, and excerpts of recordings of them; ``unreadable``: paths below their folders, and what to say."""

    songs: Mapping[str, Path]
    excerpts: Sequence[Excerpt]
    unreadable: Mapping[str, UserError] = field(default_factory=dict)


class Table:
    """A CSV of annotations, row by row; UserError, with the row, for what cannot be used."""

    def __init__(self, path: Path, columns: Sequence[str], what: str):
        self.path, self._required, self._what = path, columns, what
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file)
                self.columns, self._rows = list(reader.fieldnames or ()), list(reader)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise UserError(f"{path}: {reason}; {what}") from error
        if absent := [name for name in columns if name not in self.columns]:
            raise UserError(f"{path}: has no column {', '.join(absent)}; {what}")

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        """(number, row); the first one below the header is 2. UserError for one that ends before a required column."""
        for number, row in enumerate(self._rows, 2):
            if absent := [name for name in self._required if row[name] is None]:
                raise UserError(f"{self.path}: row {number}: ends before {', '.join(absent)}; {self._what}")
            yield number, row

    def seconds(self, number: int, row: Mapping[str, str], column: str) -> float:
        """A number of seconds, 0 or more."""
        try:
            value = float(row[column])
        except (TypeError, ValueError):
            value = -1.0
        if not 0 <= value < float("inf"):
            raise UserError(f"{self.path}: row {number}: {column} is {row[column]!r}, not a number of seconds")
        return value

    def interval(self, number: int, row: Mapping[str, str], begin: str, end: str) -> tuple[float, float]:
        """Two numbers of seconds, the second one larger."""
        first, last = (self.seconds(number, row, column) for column in (begin, end))
        if last <= first:
            raise UserError(
                f"{self.path}: row {number}: {begin} {row[begin]!r} and {end} {row[end]!r} are no interval in seconds"
            )
        return first, last


def by_name(folder: Path, what: str, unreadable: dict[str, UserError]) -> dict[str, Path]:
    """The sound files below a folder, by their names with and without suffix; UserError if there are none, or two of a name.

    ``unreadable`` takes folders that cannot be read and links to nothing, as ``nafp.walk.files_below`` says.
    """
    found: dict[str, Path] = {}
    for path in files_below(folder, is_audio, unreadable=unreadable):
        for name in {path.name, path.stem}:
            if name in found:
                raise UserError(f"{path}: has the name of {found[name]} too; each file needs a name of its own")
            found[name] = path
    if not found:
        raise UserError(f"{folder}: holds no sound files; {what}")
    return found


def named(files: Mapping[str, Path], name: str, table: Table, number: int) -> Path:
    """The file that a row names; UserError if it is not there."""
    if name not in files:
        raise UserError(f"{table.path}: row {number}: there is no file {name!r}; unpack the whole download")
    return files[name]
