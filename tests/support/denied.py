"""Files and folders that may not be read, or not just now, for tests that root runs too."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nafp.audio.decode import sounds


def deny(monkeypatch: pytest.MonkeyPatch, name: str, path: Path, error: OSError | None = None) -> None:
    """Let a function of ``os`` refuse a path: for want of permission, or with another error."""
    real = getattr(os, name)

    def refusing(place, *args, **kwargs):
        if os.fspath(place) == os.fspath(path):
            raise error or PermissionError(13, "Permission denied", os.fspath(place))
        return real(place, *args, **kwargs)

    monkeypatch.setattr(os, name, refusing)


def drops_out(path: Path, times: int) -> Callable:
    """``nafp.audio.decode.sounds``, to which a disk does not answer the first times that this file is read."""
    left = [times]

    def reading(place, account):
        if os.fspath(place) == os.fspath(path) and left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, "Input/output error")
        yield from sounds(place, account)

    return reading
