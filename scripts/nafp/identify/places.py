"""Paths of libraries and recordings, and the names of their folders in the results. Imported while jobs are planned."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from nafp.errors import UserError, problem_of
from nafp.text import printable
from nafp.walk import files_below, is_audio

STANDARD_INPUT = "-"


def label(place: Path | str, name: str = "") -> str:
    """A short file name for a folder or file, different for different paths; it begins with ``name``, if given."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", name or os.path.basename(os.path.abspath(place))).strip("-")[:40]
    return f"{words or 'folder'}-{hashlib.sha256(os.fsencode(place)).hexdigest()[:8]}"


def find_audio(folder: Path | str, unreadable: dict[str, UserError] | None = None) -> list[Path]:
    """The audio files below a folder, by suffix, sorted; UserError if there are none.

    ``unreadable`` takes folders that cannot be read and links to nothing, as ``nafp.walk.files_below`` says.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{printable(str(folder))}: is not a folder")
    lost = {} if unreadable is None else unreadable
    files = files_below(folder, is_audio, unreadable=lost)
    if not files:
        if lost:
            why = printable(str(next(iter(lost.values()))))
            raise UserError(f"{printable(str(folder))}: has no audio files that can be read; {why}")
        raise UserError(
            f"{printable(str(folder))}: has no audio files, by the suffixes of their names (.wav, .flac, .mp3, .m4a, ...)"
        )
    return files


def check_places(library: str | Path, queries: Sequence[str | Path]) -> None:
    """UserError if the library is not a folder with audio files, or a recording does not exist."""
    find_audio(library)
    for place in queries:
        if os.path.isdir(place):
            find_audio(place)
        elif str(place) != STANDARD_INPUT and not os.path.exists(place):
            raise UserError(f"{printable(str(place))}: is not there; name a recording, or a folder of them")


def named_folder(library: str, names: dict[str, str]) -> tuple[str, str]:
    """A library's folder and name: ``library`` is one of the names of the config's ``identify.library``, or a folder itself."""
    name = library if library in names else ""
    return os.path.expanduser(names.get(library, library)), name


def recordings(places: Sequence[str]) -> tuple[list[tuple[str, Path]], dict[str, str]]:
    """Printable names and paths of recordings: files, and all files below folders; UserError for a folder without any.

    Also the printable names of what cannot be read in the folders, and why.
    """
    found: list[tuple[str, Path]] = []
    unreadable: dict[str, str] = {}
    for place in map(Path, places):
        if not place.is_dir():
            found.append((printable(place.name if len(places) == 1 else str(place)), place))
            continue

        def name(path: Path | str, place: Path = place) -> str:
            return printable(Path(path).relative_to(place).as_posix() if len(places) == 1 else str(path))

        lost: dict[str, UserError] = {}
        found += [(name(path), path) for path in find_audio(place, lost)]
        unreadable |= {name(path): problem_of(error, path) for path, error in lost.items()}
    return found, unreadable
