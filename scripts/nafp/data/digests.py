"""Checksums of the files below a folder, each computed once: a journal keeps them by path, size and time of change."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

BLOCK = 2**20


@dataclass(frozen=True)
class Digest:
    """One file: its path below the folder, size, time of change, and what it holds."""

    path: str
    bytes: int
    mtime_ns: int
    md5: str
    sha256: str


class Hasher:
    """MD5 (for the published checksum) and SHA-256 (for everything else) of bytes that are seen once."""

    def __init__(self):
        self._both = hashlib.md5(usedforsecurity=False), hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        for one in self._both:
            one.update(data)

    def digest(self, root: Path, path: str) -> Digest:
        """What was seen, as the digest of the file ``root / path``."""
        stat = (root / path).stat()
        return Digest(path, stat.st_size, stat.st_mtime_ns, *(one.hexdigest() for one in self._both))


class Journal:
    """Digests on disk, appended as they come; a torn last line, left by a killed process, does not count."""

    def __init__(self, path: Path):
        self.path = path
        self._known: dict[str, Digest] = {}
        if path.exists():
            text = path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) < len(text):
                with open(path, "r+b") as file:
                    file.truncate(len(whole))
            for line in whole.decode("utf-8").splitlines()[1:]:
                name, size, mtime, md5, sha256 = line.rsplit("\t", 4)
                self._known[name] = Digest(name, int(size), int(mtime), md5, sha256)

    def known(self, root: Path, path: str) -> Digest | None:
        """The digest of ``root / path`` if the file is as it was when it was computed."""
        digest, file = self._known.get(path), root / path
        if digest is None or not file.is_file():
            return None
        stat = file.stat()
        return digest if (stat.st_size, stat.st_mtime_ns) == (digest.bytes, digest.mtime_ns) else None

    def __len__(self) -> int:
        return len(self._known)

    def all_there(self, root: Path) -> bool:
        """Whether it knows of files, and all of them are as they were."""
        return bool(self._known) and all(self.known(root, path) for path in self._known)

    def add(self, digests: Iterable[Digest]) -> None:
        """Keep these too."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists() or not self.path.stat().st_size
        with open(self.path, "a", encoding="utf-8", newline="\n") as file:
            if new:
                file.write("\t".join(field.name for field in fields(Digest)) + "\n")
            for digest in digests:
                file.write("\t".join(map(str, astuple(digest))) + "\n")
                self._known[digest.path] = digest


def digest_files(
    root: Path, journal: Journal, threads: int = 8, suffixes: Collection[str] | None = None
) -> pd.DataFrame:
    """Checksums of every file below ``root``, hidden ones too: columns path, bytes, mtime_ns, md5, sha256, by path.

    ``suffixes``: only of files with one of these, in lower case. Only files that the journal does not know are read.
    Paths are relative to ``root``.
    """
    paths = sorted(path.relative_to(root).as_posix() for path in files_below(root, suffixes))
    known = {path: journal.known(root, path) for path in paths}
    unknown = [path for path in paths if known[path] is None]
    total = sum((root / path).stat().st_size for path in unknown)
    bar = tqdm(total=total, unit="B", unit_scale=True, desc="checksums", disable=not unknown)

    def one(path: str) -> Digest:
        hasher = Hasher()
        with open(root / path, "rb") as file:
            while block := file.read(BLOCK):
                hasher.update(block)
                bar.update(len(block))
        return hasher.digest(root, path)

    with ThreadPoolExecutor(threads) as pool, bar:
        for digest in pool.map(one, unknown):
            journal.add([digest])
            known[digest.path] = digest
    columns = [field.name for field in fields(Digest)]
    return pd.DataFrame([astuple(known[path]) for path in paths], columns=columns)


def files_below(root: Path, suffixes: Collection[str] | None) -> Iterator[Path]:
    """Files, links to files too, with one of the suffixes (None: any)."""
    for path in root.rglob("*"):
        if (suffixes is None or path.suffix.lower() in suffixes) and path.is_file():
            yield path


def directory_md5(digests: pd.DataFrame) -> str:
    """One MD5 for a folder, as ``checksumdir -a md5`` has it: of the sorted MD5s of its files, whatever their names.

    ``checksumdir`` itself would read 443 GB again, on one core, without a word.
    """
    return hashlib.md5("".join(sorted(digests["md5"])).encode(), usedforsecurity=False).hexdigest()
