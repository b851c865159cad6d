"""Archives, unpacked without trusting them: nothing outside the folder, nothing but files, nothing beyond what is declared."""

import errno
import lzma
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from tqdm import tqdm

from nafp.datasets.digests import BLOCK, Digest, Hasher, Journal
from nafp.errors import UserError
from nafp.files import part_name

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError)
SHOWN = 10  # problems in a message
NAMED = 255  # bytes that a file system allows in a name


@dataclass(frozen=True)
class Member:
    """A file in an archive: its name there, the bytes that it declares, and whether it is a file at all."""

    name: str
    bytes: int
    is_file: bool


class Archive(ABC):
    """An open archive; ``members`` in its order, without folders."""

    members: Sequence[Member]

    @abstractmethod
    def open(self, number: int) -> BinaryIO:
        """The content of a member, as a stream."""

    @abstractmethod
    def close(self) -> None: ...


class Zip(Archive):
    def __init__(self, path: Path):
        self._file = zipfile.ZipFile(path)
        self._infos = [info for info in self._file.infolist() if not info.is_dir()]
        # orig_filename: the other one ends at a NUL and has its separators replaced
        self.members = [Member(i.orig_filename, i.file_size, not zip_special(i)) for i in self._infos]

    def open(self, number: int) -> BinaryIO:
        return self._file.open(self._infos[number])

    def close(self) -> None:
        self._file.close()


def zip_special(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a link, a device, or encrypted."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return kind not in (0, stat.S_IFREG) or bool(info.flag_bits & 1)


class Tar(Archive):
    def __init__(self, path: Path):
        self._file = tarfile.open(path)  # noqa: SIM115
        bar = tqdm(self._file, desc=f"reading {path.name}", unit="file", disable=path.stat().st_size < 2**30)
        self._infos = [info for info in bar if not info.isdir()]
        self._read_to_end()
        self.members = [Member(i.name, i.size, i.isreg() and not i.issparse()) for i in self._infos]

    def _read_to_end(self) -> None:
        """Raise what says of damage if there is no end where the list of files stops, or if a checksum is wrong."""
        self._file.fileobj.seek(self._file.offset)
        if self._file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(
                f"no more files can be found in it after {len(self._infos):,}, but it is not its end"
            )
        while self._file.fileobj.read(BLOCK):  # gzip has its checksum behind everything
            pass

    def open(self, number: int) -> BinaryIO:
        return self._file.extractfile(self._infos[number])

    def close(self) -> None:
        self._file.close()


@contextmanager
def refusing_damage(archive: Path, what: str) -> Iterator[None]:
    """Turn what the readers of archives raise of damage, or of a way of packing they do not know, into a UserError."""
    try:
        yield
    except NotImplementedError as error:
        raise UserError(
            f"{archive}: cannot be unpacked here ({error}); unpack it with another program and use source: folder"
        ) from error
    except (*DAMAGED, OSError) as error:
        of_the_disk = getattr(error, "errno", None) not in (None, errno.EINVAL)  # EINVAL: a place before the beginning
        if of_the_disk:
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{archive}: {what} ({reason}); delete the archive and get it again") from error


def open_archive(path: Path) -> Archive:
    """Open a zip or tar file; UserError if it is neither, or damaged."""
    with refusing_damage(path, "is not a whole zip or tar archive"):
        return Zip(path) if zipfile.is_zipfile(path) else Tar(path)


def problems_of(members: Sequence[Member]) -> list[str]:
    """Why an archive should not be unpacked, one sentence a reason."""
    problems = []
    for member in members:
        parts = member.name.split("/")
        reasons = {
            "is an absolute path": member.name.startswith("/") or ":" in parts[0],
            "leads out of the folder": ".." in parts,
            "has a character that a name should not have": not member.name.isprintable() or "\\" in member.name,
            "has an empty or too long part": any(not 0 < len(os.fsencode(p)) <= NAMED or p == "." for p in parts),
            "is a link, a device or encrypted": not member.is_file,
        }
        why = [reason for reason, holds in reasons.items() if holds]
        problems += [f"{member.name!r} {' and '.join(why)}"] if why else []
    names = Counter(str(PurePosixPath(member.name)).casefold() for member in members)
    problems += [f"{name!r} is there {count} times" for name, count in names.items() if count > 1]
    folders = {str(parent).casefold() for member in members for parent in PurePosixPath(member.name).parents}
    return problems + [f"{name!r} is a file and a folder" for name in sorted(folders & names.keys())]


def placed(members: Sequence[Member], roots: Sequence[str]) -> list[str]:
    """Where each member belongs below the data set's folder: without the folders around ``roots`` that all share."""
    paths = [PurePosixPath(member.name).parts for member in members]
    while paths and all(len(p) > 1 and p[0] == paths[0][0] for p in paths) and paths[0][0] not in roots:
        paths = [p[1:] for p in paths]
    return ["/".join(p) for p in paths]


def unpack(
    archive: Path,
    folder: Path,
    journal: Journal,
    roots: Sequence[str] = (),
    limit: int | None = None,
    room: Callable[[int], None] = lambda missing: None,
) -> int:
    """Unpack ``archive`` into ``folder`` and write each file's digest into the journal; returns the number of files.

    Files that the journal knows are not written again. Before anything is written the whole archive is looked through:
    UserError for paths that lead elsewhere, links, devices, doubles, or more than ``limit`` bytes in all. ``room`` is told
    the bytes that are still to be written and may raise UserError. A member with more or fewer bytes than it declares, or
    with a wrong checksum, is UserError; what was unpacked before it stays.
    """
    opened = open_archive(archive)
    try:
        refuse(archive, opened.members, limit)
        paths = placed(opened.members, roots)
        missing = [i for i, path in enumerate(paths) if not done(journal.unpacked(folder, path), opened.members[i])]
        room(sum(opened.members[i].bytes for i in missing))
        if len(missing) < len(paths):
            print(f"{archive.name}: {len(paths) - len(missing):,} of {len(paths):,} files are unpacked already")
        total = sum(member.bytes for member in opened.members)
        left = sum(opened.members[i].bytes for i in missing)
        with tqdm(
            total=total, initial=total - left, unit="B", unit_scale=True, desc=f"unpacking {archive.name}"
        ) as bar:
            for i in missing:
                with refusing_damage(archive, f"{paths[i]} is damaged in it"), opened.open(i) as source:
                    digest = write_member(source, opened.members[i], folder, paths[i])
                journal.add([digest])
                bar.update(digest.bytes)
        return len(paths)
    finally:
        opened.close()


def refuse(archive: Path, members: Sequence[Member], limit: int | None) -> None:
    """Raise UserError with what is wrong with an archive, if anything is."""
    if problems := problems_of(members):
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(f"{archive}: will not be unpacked: {'; '.join(problems[:SHOWN])}{more}")
    total = sum(member.bytes for member in members)
    if limit is not None and total > limit:
        raise UserError(
            f"{archive}: will not be unpacked: it declares {total:,} bytes, more than the {limit:,} that are expected "
            "(dataset.unpacked_gb)"
        )


def done(digest: Digest | None, member: Member) -> bool:
    """Whether a member is unpacked already."""
    return digest is not None and digest.bytes == member.bytes


def write_member(source: BinaryIO, member: Member, folder: Path, path: str) -> Digest:
    """Write one member under a temporary name until it is whole; UserError if its length is not the declared one."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    part, hasher, written = target.with_name(part_name(f".{target.name}")), Hasher(), 0
    try:
        with open(part, "wb") as file:
            while block := source.read(BLOCK):
                written += len(block)
                if written > member.bytes:
                    break
                file.write(block)
                hasher.update(block)
        if written != member.bytes:
            raise UserError(
                f"{path}: does not have the {member.bytes:,} bytes that its archive declares; delete the archive and get it again"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return hasher.digest(folder, path)
