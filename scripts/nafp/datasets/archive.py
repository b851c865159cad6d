"""Unpacking of archives that are not trusted: only regular files, only inside the folder, only as many bytes as declared."""

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
from nafp.walk import NO_TEXT

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError)
ZIP_HEADS = b"PK\x03\x04", b"PK\x05\x06"  # with files, without; not the last bytes, which a zip in a tar has too
SHOWN = 10  # problems in a message
NAME_BYTES = 255  # longest file name that file systems allow


@dataclass(frozen=True)
class Member:
    """An entry of an archive: its name, its declared size, and whether it is a regular file."""

    name: str
    bytes: int
    is_file: bool


class Archive(ABC):
    """An open archive; ``members`` in its order, without folders and macOS's metadata, their names without a leading ``./``."""

    members: Sequence[Member]

    @abstractmethod
    def open(self, number: int) -> BinaryIO:
        """The content of a member, as a stream."""

    @abstractmethod
    def close(self) -> None: ...


def is_mac_metadata(name: str) -> bool:
    """Whether a member holds what macOS knows of another one beside its content: no file of the data set."""
    return name.startswith("__MACOSX/") or name.split("/")[-1].startswith("._")


class Zip(Archive):
    def __init__(self, path: Path):
        self._file = zipfile.ZipFile(path)
        self._infos = [i for i in self._file.infolist() if not i.is_dir() and not is_mac_metadata(i.orig_filename)]
        # orig_filename: unlike filename, not cut at a NUL, and with its own separators
        self.members = [
            Member(i.orig_filename.removeprefix("./"), i.file_size, not zip_special(i)) for i in self._infos
        ]

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
        self._infos = [info for info in bar if not info.isdir() and not is_mac_metadata(info.name)]
        self._read_to_end()
        self.members = [Member(i.name.removeprefix("./"), i.size, i.isreg() and not i.issparse()) for i in self._infos]

    def _read_to_end(self) -> None:
        """Raise an error of damage if the list of files stops before the archive's end, or a checksum is wrong."""
        self._file.fileobj.seek(self._file.offset)
        if self._file.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(
                f"no more files can be found in it after {len(self._infos):,}, but it is not its end"
            )
        while self._file.fileobj.read(BLOCK):  # gzip's checksum is at its end
            pass

    def open(self, number: int) -> BinaryIO:
        return self._file.extractfile(self._infos[number])

    def close(self) -> None:
        self._file.close()


@contextmanager
def refusing_damage(archive: Path, what: str) -> Iterator[None]:
    """Turn errors of damaged archives, or of unknown compression methods, into a UserError."""
    try:
        yield
    except NotImplementedError as error:
        raise UserError(
            f"{archive}: cannot be unpacked here ({error}); unpack it with another program and use source: folder"
        ) from error
    except (*DAMAGED, OSError) as error:
        number, name = getattr(error, "errno", None), getattr(error, "filename", None)
        if number not in (None, errno.EINVAL) or name:  # EINVAL without a name: a seek to before the file
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{archive}: {what} ({reason}); delete the archive and get it again") from error


def open_archive(path: Path) -> Archive:
    """Open a zip or tar file; UserError if it is neither, or damaged."""
    with refusing_damage(path, "is not a whole zip or tar archive"):
        with open(path, "rb") as file:
            head = file.read(4)
        return Zip(path) if head in ZIP_HEADS else Tar(path)


def problems_of(members: Sequence[Member]) -> list[str]:
    """Why an archive should not be unpacked, one sentence a reason."""
    problems = []
    for member in members:
        parts = member.name.split("/")
        reasons = {
            "is an absolute path": member.name.startswith("/") or ":" in parts[0],
            "leads out of the folder": ".." in parts,
            "has a character that a name should not have": bool(NO_TEXT.search(member.name)) or "\\" in member.name,
            "has an empty or too long part": any(not 0 < len(os.fsencode(p)) <= NAME_BYTES or p == "." for p in parts),
            "is a link, a device or encrypted": not member.is_file,
        }
        why = [reason for reason, holds in reasons.items() if holds]
        problems += [f"{member.name!r} {' and '.join(why)}"] if why else []
    names = Counter(str(PurePosixPath(member.name)).casefold() for member in members)
    problems += [f"{name!r} is there {count} times" for name, count in names.items() if count > 1]
    folders = {str(parent).casefold() for member in members for parent in PurePosixPath(member.name).parents}
    return problems + [f"{name!r} is a file and a folder" for name in sorted(folders & names.keys())]


def paths_in_dataset(members: Sequence[Member], roots: Sequence[str]) -> list[str]:
    """Path of each member below the data set's folder, without the parents of ``roots`` that all members share."""
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
    check_room: Callable[[int], None] = lambda missing: None,
) -> int:
    """Unpack ``archive`` into ``folder`` and write each file's digest into the journal; returns the number of files.

    Files that the journal knows are not written again. The whole archive is checked before anything is written: UserError
    for paths that lead out of the folder, links, devices, duplicates, or more than ``limit`` bytes in all. ``check_room``
    gets the number of bytes still to be written and may raise UserError. A member with more or fewer bytes than it declares, or
    with a wrong checksum, is UserError; what was unpacked before it stays.
    """
    opened = open_archive(archive)
    try:
        refuse(archive, opened.members, limit)
        paths = paths_in_dataset(opened.members, roots)
        missing = [i for i, path in enumerate(paths) if not done(journal.unpacked(folder, path), opened.members[i])]
        check_room(sum(opened.members[i].bytes for i in missing))
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
    """Raise UserError with the problems of an archive, if it has any."""
    if problems := problems_of(members):
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(
            f"{archive}: will not be unpacked: {'; '.join(problems[:SHOWN])}{more}; if you trust it, unpack it with another "
            "program and use source: folder"
        )
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
    """Write one member, under a temporary name until it is complete; UserError if its size is not the declared one."""
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
