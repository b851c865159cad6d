"""A data set on Kaggle: one zip, with an account."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.sources.source import ARCHIVE_OPTIONS, Place, Source

HANDLE = {
    "type": "string",
    "pattern": "^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$",
    "description": "of the data set on Kaggle, owner/name",
}


def bring(dataset: Mapping, place: Place) -> list[Path]:
    """Kaggle's zip of the whole data set."""
    from nafp.datasets.download import download
    from nafp.datasets.kaggle_api import locate
    from nafp.datasets.room import check_download_room

    path = place.beside("zip")
    if not path.exists():

        def room(left: int) -> None:
            check_download_room(dataset, place, left, path)

        download(locate(dataset["handle"]), path, f"kaggle {dataset['handle']}", room)
    return [path]


KAGGLE = Source(
    "downloaded, with an account", {"handle": HANDLE, **ARCHIVE_OPTIONS}, ("handle",), bring=bring, downloads=True
)
