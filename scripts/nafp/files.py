"""Files that are either complete or not there, and what is said of damaged ones."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from nafp.errors import UserError


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Give a temporary name beside ``path`` to write to, and rename it to ``path`` at the end; on error remove it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(part_name(path.name))
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def part_name(name: str) -> str:
    """A temporary name for a file that is not complete; at most 255 bytes, which file systems allow, like the name."""
    whole = f"{name}.part"
    return whole if len(os.fsencode(whole)) <= 255 else f"{sha256(os.fsencode(name)).hexdigest()}.part"


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turn what a reader says of a damaged result into a UserError that names it."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            raise
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path}: cannot be read, it is damaged or missing ({reason}); delete it and run the same command again"
        ) from error
