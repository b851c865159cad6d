"""Errors that a user can fix."""

import errno
from pathlib import Path

from nafp.secrets import hidden


def sentence_of(error: OSError) -> str:
    """Where a system error happened and what the system says of it, which is the clearest: disk full, no permission."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


class UserError(Exception):
    """A mistake that the user can fix; the message is one sentence, without secrets: what, where, and how to fix it."""

    def __init__(self, message: str):
        super().__init__(hidden(message))


class Unavailable(UserError):
    """What the system could not read just now, of a disk or a network share that drops out: a later attempt may succeed."""


# System errors that stay as long as the file stays what it is
LASTING = errno.EACCES, errno.EPERM, errno.EINVAL, errno.EISDIR, errno.ELOOP


def read_error(path: Path | str, error: Exception) -> UserError:
    """What to say of a file that could not be read: Unavailable for an error of the system that may pass."""
    number = error.errno if isinstance(error, OSError) else None
    kind = UserError if number is None or number in LASTING else Unavailable
    return kind(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})")


def problem_of(error: UserError, path: Path | str) -> str:
    """What is wrong with a file or folder, without its path, which the message of the error begins with."""
    return str(error).removeprefix(f"{path}: ")


def lasting_problem(error: UserError, path: Path | str) -> str:
    """What is wrong with a file or folder; UserError if it may be read at another time."""
    if isinstance(error, Unavailable):
        raise UserError(
            f"{error}; run the same command again when it can be read, or move it out of the folder"
        ) from error
    return problem_of(error, path)
