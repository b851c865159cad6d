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
AGAIN = "run the same command again when it can be read, or move it out of the folder"


def reason_of(error: Exception) -> str:
    """What is said of a file or folder that was not read."""
    return f"cannot be read ({getattr(error, 'strerror', None) or error})"


def unreadable(path: Path | str, error: Exception) -> UserError:
    """What to say of a file that could not be read: Unavailable for an error of the system that may pass."""
    number = error.errno if isinstance(error, OSError) else None
    kind = UserError if number is None or number in LASTING else Unavailable
    return kind(f"{path}: {reason_of(error)}")
