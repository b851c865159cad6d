"""Checksums of the files below a folder, each computed once: a journal keeps them by place, size and times of change."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from nafp.errors import UserError, lasting_problem, read_error
from nafp.files import atomic_write
from nafp.walk import escaped_path, files_below

BLOCK = 2**20
COLUMNS = ["path", "bytes", "mtime_ns", "md5", "sha256"]


@dataclass(frozen=True)
class Digest:
    """One file: its path below a folder, the folder's absolute path, size, times of change, and what it holds.

    ``ctime_ns`` is the last change of content or metadata; programs that copy a file cannot set it.
    """

    path: str
    root: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    md5: str
    sha256: str


class Hasher:
    """MD5 (for the published checksum) and SHA-256 (for everything else), computed in one pass."""

    def __init__(self):
        self._both = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        for one in self._both:
            one.update(data)

    def digest(self, root: Path, path: str) -> Digest:
        """Digest of the file ``root / path``, whose bytes were passed to ``update``."""
        stat = (root / path).stat()
        times = stat.st_mtime_ns, stat.st_ctime_ns
        return Digest(path, os.path.abspath(root), stat.st_size, *times, *(one.hexdigest() for one in self._both))


class Journal:
    """Digests on disk, one line each, appended as they are computed; names are JSON strings.

    Lines that cannot be parsed (torn by a killed process, damaged) are ignored, and removed with the next write. Lines of an
    older form, without folder and ``ctime_ns``, show that a file was there, but not its content.
    """

    def __init__(self, path: Path):
        self.path = path
        self._known: dict[str, Digest] = {}
        self._is_valid = False
        if path.exists():
            head, *lines = path.read_bytes().decode("utf-8", "surrogateescape").split("\n")
            self._is_valid = head == HEAD and lines[-1:] == [""]
            for line in lines:
                digest = parsed(line)
                self._is_valid = self._is_valid and bool(digest or not line)
                if digest:
                    self._known[digest.path] = digest

    def known(self, root: Path, path: str) -> Digest | None:
        """The digest of ``root / path``, if it was computed from this very file, which has not changed since."""
        digest = self.unpacked(root, path)
        if digest is None or digest.root != os.path.abspath(root):
            return None
        return digest if (root / path).stat().st_ctime_ns == digest.ctime_ns else None

    def unpacked(self, root: Path, path: str) -> Digest | None:
        """The digest of a file of this path, size and modification time, which may lie in a copy of the folder."""
        digest, file = self._known.get(path), root / path
        if digest is None or not os.path.isfile(file):
            return None
        stat = file.stat()
        return digest if (stat.st_size, stat.st_mtime_ns) == (digest.bytes, digest.mtime_ns) else None

    def __len__(self) -> int:
        return len(self._known)

    def all_there(self, root: Path) -> bool:
        """Whether all files of the journal are there, and there is at least one."""
        return bool(self._known) and all(self.unpacked(root, path) for path in self._known)

    def add(self, digests: Iterable[Digest]) -> None:
        """Append digests."""
        if not self._is_valid:
            with atomic_write(self.path) as part:
                part.write_text("".join(f"{line}\n" for line in [HEAD, *map(line_of, self._known.values())]), "ascii")
            self._is_valid = True
        with open(self.path, "a", encoding="ascii", newline="\n") as file:
            for digest in digests:
                file.write(f"{line_of(digest)}\n")
                self._known[digest.path] = digest


HEAD = "\t".join(field.name for field in fields(Digest))


def line_of(digest: Digest) -> str:
    """A digest as a line of a journal, in ASCII."""
    path, root, *rest = astuple(digest)
    return "\t".join([json.dumps(path), json.dumps(root), *map(str, rest)])


def parsed(line: str) -> Digest | None:
    """The digest of a line, also of the older form (path, bytes, mtime_ns, md5, sha256); None for any other line."""
    try:
        name, *rest = line.rsplit("\t", 6) if line.startswith('"') else line.rsplit("\t", 4)
        if len(rest) == 6:
            root, size, mtime, ctime, md5, sha256 = rest
            digest = Digest(json.loads(name), json.loads(root), int(size), int(mtime), int(ctime), md5, sha256)
        else:
            size, mtime, md5, sha256 = rest
            digest = Digest(name, "", int(size), int(mtime), 0, md5, sha256)
    except ValueError:
        return None
    hexadecimal = len(md5) == 32 and len(sha256) == 64 and set(md5 + sha256) <= set("0123456789abcdef")
    return digest if hexadecimal and isinstance(digest.path, str) and "\0" not in digest.path else None


def digest_files(
    root: Path,
    journal: Journal,
    threads: int = 8,
    wanted: Callable[[str], bool] = lambda name: True,
    unreadable: dict[str, str] | None = None,
) -> pd.DataFrame:
    """Checksums of the files below ``root``, hidden and linked ones too: columns path, bytes, mtime_ns, md5, sha256, by path.

    ``wanted``: only of files with such names. Only files that the journal does not know are read. Paths are relative to
    ``root``, as text (see ``nafp.walk.escaped_path``). ``unreadable`` takes the files, folders and links that cannot be read, by
    path, and why; without it the first such file is an OSError. With it, UserError for what may be read at another time.
    """
    lost: dict[str, UserError] = {}
    paths = sorted(path.relative_to(root).as_posix() for path in files_below(root, wanted, unreadable=lost))
    if unreadable is not None:
        for path, error in lost.items():
            unreadable[escaped_path(Path(path).relative_to(root).as_posix())] = lasting_problem(error, path)
    known = {path: journal.known(root, path) for path in paths}
    unknown = [path for path in paths if known[path] is None]
    total = sum((root / path).stat().st_size for path in unknown)
    bar = tqdm(total=total, unit="B", unit_scale=True, desc="checksums", disable=not unknown)

    def one(path: str) -> Digest | OSError:
        hasher = Hasher()
        try:
            with open(root / path, "rb") as file:
                while block := file.read(BLOCK):
                    hasher.update(block)
                    bar.update(len(block))
            return hasher.digest(root, path)
        except OSError as error:
            return error

    with ThreadPoolExecutor(threads) as pool, bar:
        for path, found in zip(unknown, pool.map(one, unknown), strict=True):
            if isinstance(found, Digest):
                journal.add([found])
                known[path] = found
            elif unreadable is None:
                raise found
            else:
                unreadable[escaped_path(path)] = lasting_problem(read_error(root / path, found), root / path)
    found = [digest for digest in known.values() if digest]
    rows = [(escaped_path(one.path), one.bytes, one.mtime_ns, one.md5, one.sha256) for one in found]
    return pd.DataFrame(rows, columns=COLUMNS)


def directory_md5(digests: pd.DataFrame) -> str:
    """One MD5 for a folder, equal to that of ``checksumdir -a md5``: of the sorted MD5s of its files, whatever their names.

    Not by the package, which would read all 443 GB a second time, in one thread and without a progress bar, for MD5s that
    are known from computing the SHA-256; tests/unit/test_sources.py compares the two.
    """
    return hashlib.md5("".join(sorted(digests["md5"])).encode(), usedforsecurity=False).hexdigest()
