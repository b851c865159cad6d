"""Files written atomically, locks, and errors of damaged files."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from nafp.errors import UserError

# Errors of a program, which no reader raises for a damaged file
OUR_BUGS = (
    LookupError,
    TypeError,
    AttributeError,
    NameError,
    AssertionError,
    ArithmeticError,
    ImportError,
    MemoryError,
)
DISK_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG  # errors of writing alone

# What to do about a damaged file: one that a job makes again, and one of the user's own
MADE_AGAIN = "delete it and run the same command again"
GIVEN_AGAIN = "copy it there again, or name another file"


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to, and rename it to ``path`` at the end; on error remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(part_name(path.name))
    try:
        with disk_full_named(path):
            yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def disk_full_named(path: Path) -> Iterator[None]:
    """Let an error of a full disk name the file that is written; the system names one only where it is opened."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL and error.filename is None:
            error.filename = str(path)
        raise


def part_name(name: str) -> str:
    """A temporary name for an incomplete file; like names of files, at most 255 bytes."""
    whole = f"{name}.part"
    return whole if len(os.fsencode(whole)) <= 255 else f"{sha256(os.fsencode(name)).hexdigest()}.part"


@contextmanager
def damaged_file_errors(path: Path | str, way_out: str = MADE_AGAIN) -> Iterator[None]:
    """Turn what a reader says of a damaged file into a UserError that names it; a bug of ours (OUR_BUGS) stays one.

    ``way_out``: what to do then. Readers have exceptions of their own without a common base (safetensors, Arrow, zip,
    pickle), so bugs are what is listed.
    """
    try:
        yield
    except OUR_BUGS:
        raise
    except Exception as error:
        if getattr(error, "errno", None) == errno.ENOMEM:
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read, it is damaged or missing ({reason}); {way_out}") from error


def read_json(path: Path | str, *keys: str) -> dict:
    """A JSON object with at least these keys; UserError if the file is missing or damaged, or holds something else."""
    with damaged_file_errors(path):
        found = json.loads(Path(path).read_bytes())
        if not isinstance(found, dict):
            raise ValueError("not a JSON object")
        if absent := [key for key in keys if key not in found]:
            raise ValueError(f"no {', '.join(absent)} in it")
    return found


def lock(path: Path, problem: str) -> IO:
    """Lock a file, until the returned file is closed or the process ends, however it ends.

    UserError, with ``problem``, if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="ascii", errors="replace")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        raise UserError(f"{path.parent}: {problem}" + (f" ({holder} has it)" if holder else "")) from None
    except OSError as error:
        _say_unlocked(path, error)
        return file
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file


def lock_folder(folder: Path, problem: str) -> None:
    """Lock a folder, in which nothing is written, until the process ends; where another has it, say ``problem`` and wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{folder}: {problem}", flush=True)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        _say_unlocked(folder, error)


def _say_unlocked(path: Path, error: OSError) -> None:
    """What a file system without locks costs."""
    print(f"{path}: cannot be locked ({error.strerror}); let no two processes use it at once", flush=True)
