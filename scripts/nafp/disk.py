"""Free space on disk, checked before anything is written."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from nafp.errors import UserError


def check_free_space(needed: Mapping[Path, int], what: str) -> None:
    """Raise UserError if a disk has less free space than ``needed`` (folder -> bytes; summed over folders on one disk)."""
    disks: dict[int, tuple[Path, int]] = {}
    for folder, size in needed.items():
        folder = existing(folder)
        first, sum_ = disks.get(folder.stat().st_dev, (folder, 0))
        disks[folder.stat().st_dev] = first, sum_ + size
    for folder, size in disks.values():
        free = shutil.disk_usage(folder).free
        if size > free:
            raise UserError(
                f"{folder}: {what} needs {size / 1e9:,.2f} GB, but only {free / 1e9:,.2f} GB are free there"
            )


def existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder
