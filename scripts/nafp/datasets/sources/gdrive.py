"""A file on Google Drive, with gdown: the authors' other mirror."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.sources.source import ARCHIVE_OPTIONS, Place, Source
from nafp.errors import UserError

DRIVE = "https://drive.google.com/uc?id="
DRIVE_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "description": "of the file on Google Drive"}


def bring(dataset: Mapping, place: Place) -> list[Path]:
    """The file, a tar."""
    import gdown
    import requests
    from gdown.exceptions import DownloadError

    from nafp.datasets.room import check_download_room

    path = place.beside("tar")
    if not path.exists():
        check_download_room(dataset, place, 0, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            gdown.download(DRIVE + dataset["drive_id"], str(path), resume=True, timeout=60, retries=5)
        except (DownloadError, requests.RequestException) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"gdrive {dataset['drive_id']}: cannot be downloaded ({reason}); the part that came is kept, try again later, or "
                "download it with a browser and use source: local"
            ) from error
    return [path]


GDRIVE = Source("downloaded", {"drive_id": DRIVE_ID, **ARCHIVE_OPTIONS}, ("drive_id",), bring=bring, downloads=True)
