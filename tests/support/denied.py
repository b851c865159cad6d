"""Files and folders that may not be read, for tests that root runs too."""

import os
from pathlib import Path

import pytest


def deny(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    """Let a function of ``os`` refuse a path."""
    real = getattr(os, name)

    def refusing(place, *args, **kwargs):
        if os.fspath(place) == os.fspath(path):
            raise PermissionError(13, "Permission denied", os.fspath(place))
        return real(place, *args, **kwargs)

    monkeypatch.setattr(os, name, refusing)
