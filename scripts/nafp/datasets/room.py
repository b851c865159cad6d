"""How much free disk space a data set needs."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.download import partial_files, size_of
from nafp.datasets.sources.source import Place
from nafp.disk import check_free_space

UNPACKED = 1.25  # size of unpacked data over that of its archive, if not configured; Kaggle's zip: 1.14


def unpacked_bytes(unpacked_gb: float | None, archive_bytes: int) -> int:
    """Bytes of the unpacked data set: as configured, else estimated from its archive."""
    return int(unpacked_gb * 1e9 if unpacked_gb else UNPACKED * archive_bytes)


def check_download_room(dataset: Mapping, place: Place, left: int, path: Path) -> None:
    """Raise UserError unless there is room for the rest of the archive, the unpacked and the packed data set."""
    unpacked = unpacked_bytes(dataset.get("unpacked_gb"), left + size_of(partial_files(path)[0]))
    check_free_space(
        {path.parent: left + unpacked, place.packed: unpacked}, "the data set (archive, unpacked and packed)"
    )
