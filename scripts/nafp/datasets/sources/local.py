"""Archives that the user has, or downloads by hand because that needs a login."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.sources.source import ARCHIVE, ARCHIVE_OPTIONS, Place, Source
from nafp.errors import UserError

DATAPORT_PAGE = "https://ieee-dataport.org/open-access/neural-audio-fingerprint-dataset"
UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".aria2")  # suffixes of unfinished downloads
OPTIONS = {"archive": ARCHIVE, **ARCHIVE_OPTIONS}


def from_local(dataset: Mapping, place: Place) -> list[Path]:
    """An archive, or a folder of archives, that the user has."""
    return archives_in(Path(dataset["archive"]), "name the archive in dataset.archive")


def from_dataport(dataset: Mapping, place: Place) -> list[Path]:
    """The tar of IEEE DataPort, which needs a login: the user downloads it."""
    return archives_in(
        Path(dataset["archive"]), f"log in at {DATAPORT_PAGE}, download the tar (443 GB) and put it there"
    )


def archives_in(place: Path, advice: str) -> list[Path]:
    """The archive, or those in the folder; UserError if there is none, or an unfinished download."""
    from nafp.datasets.archive import SUFFIXES

    if place.is_file():
        return [place]
    files = sorted(place.iterdir()) if place.is_dir() else []
    if unfinished := [path for path in files if path.suffix in UNFINISHED]:
        raise UserError(f"{unfinished[0]}: is an unfinished download; wait for it, or delete it")
    archives = [path for path in files if path.name.lower().endswith(SUFFIXES)]
    if not archives:
        holds = f"holds no archive ({', '.join(SUFFIXES)})" if place.is_dir() else "is not there"
        raise UserError(f"{place}: {holds}; {advice}")
    return archives


LOCAL = Source("an archive of the user", OPTIONS, ("archive",), bring=from_local)
DATAPORT = Source("the tar of IEEE DataPort, placed by the user", OPTIONS, ("archive",), bring=from_dataport)
