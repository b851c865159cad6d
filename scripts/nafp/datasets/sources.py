"""Sources of data sets: a registry of functions that bring the archives to this machine."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from nafp.datasets import kaggle_api as kaggle_source
from nafp.datasets.archive import SUFFIXES, unpack
from nafp.datasets.digests import BLOCK, Journal
from nafp.datasets.download import download, partial_files, size_of
from nafp.disk import check_free_space
from nafp.errors import UserError
from nafp.files import atomic_write

DRIVE = "https://drive.google.com/uc?id="
DATAPORT = "https://ieee-dataport.org/open-access/neural-audio-fingerprint-dataset"
UNFINISHED = (".crdownload", ".part", ".partial", ".download", ".aria2")  # suffixes of unfinished downloads
UNPACKED = 1.25  # size of unpacked data over that of its archive, if not configured; Kaggle's zip: 1.14


@dataclass(frozen=True)
class Place:
    """Folder of a data set (``root``) and the files about it, which are beside it.

    ``packed``: folder of the packed splits; only the disk that it is on matters here.
    """

    root: Path
    packed: Path

    def beside(self, kind: str) -> Path:
        return self.root.with_name(f"{self.root.name}.{kind}")

    @property
    def record(self) -> Path:
        """Record of the first verified archives: written once, when verification passed."""
        return self.beside("archives.json")

    @property
    def manifest(self) -> Path:
        """The manifest of the first verified copy."""
        return self.beside("manifest.csv")

    @property
    def journal(self) -> Path:
        """The digests of the unpacked files."""
        return self.beside("files.tsv")


def obtain(options: Mapping, place: Place) -> list[dict]:
    """Bring the archives of a data set here, unless it is unpacked and verified already; returns path and bytes of each.

    Downloaded ones have their sha256 too. ``options``: the config's ``dataset``. Raises UserError if they cannot be had, or
    differ from the record.
    """
    recorded = json.loads(place.record.read_text(encoding="utf-8")) if place.record.exists() else []
    if recorded and Journal(place.journal).all_there(place.root):
        print(f"{place.root}: unpacked and verified already")
        return recorded
    source = SOURCES[options["source"]]
    facts = [{"path": str(path), "bytes": path.stat().st_size} for path in source.bring(options, place)]
    if source.downloads:
        facts = [fact | {"sha256": sha256_of(Path(fact["path"]))} for fact in facts]
        compare_with_record(facts, recorded, place)
    return facts


def compare_with_record(facts: list[dict], recorded: list[dict], place: Place) -> None:
    """Raise UserError if the archives are not those that were verified first."""
    known = {fact.get("sha256") for fact in recorded}
    for fact in facts:
        if known and fact["sha256"] not in known:
            raise UserError(
                f"{fact['path']}: differs from the first verified download (SHA-256 {fact['sha256']}, recorded in "
                f"{place.record}); if this is a new version that you want, delete {place.record} and {place.manifest}"
            )


def from_kaggle(options: Mapping, place: Place) -> list[Path]:
    """Kaggle's zip of the whole data set."""
    path = place.beside("zip")
    if not path.exists():
        room = lambda left: check_download_room(options, place, left, path)  # noqa: E731
        download(kaggle_source.locate(options["handle"]), path, f"kaggle {options['handle']}", room)
    return [path]


def from_gdrive(options: Mapping, place: Place) -> list[Path]:
    """The authors' file on Google Drive, with gdown."""
    import gdown
    import requests
    from gdown.exceptions import DownloadError

    path = place.beside("tar")
    if not path.exists():
        check_download_room(options, place, 0, path)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            gdown.download(DRIVE + options["drive_id"], str(path), resume=True, timeout=60, retries=5)
        except (DownloadError, requests.RequestException) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"gdrive {options['drive_id']}: cannot be downloaded ({reason}); the part that came is kept, try again later, or "
                "download it with a browser and use source: local"
            ) from error
    return [path]


def from_local(options: Mapping, place: Place) -> list[Path]:
    """An archive, or a folder of archives, that the user has."""
    return archives_in(Path(options["archive"]), "name the archive in dataset.archive")


def from_dataport(options: Mapping, place: Place) -> list[Path]:
    """The tar of IEEE DataPort, which needs a login: the user downloads it."""
    return archives_in(Path(options["archive"]), f"log in at {DATAPORT}, download the tar (443 GB) and put it there")


def archives_in(place: Path, advice: str) -> list[Path]:
    """The archive, or those in the folder; UserError if there is none, or an unfinished download."""
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


@dataclass(frozen=True)
class Source:
    """A function that brings the archives, and whether it downloads them: then they are deleted once unpacked."""

    bring: Callable[[Mapping, Place], list[Path]]
    downloads: bool


SOURCES = {
    "kaggle": Source(from_kaggle, downloads=True),
    "gdrive": Source(from_gdrive, downloads=True),
    "local": Source(from_local, downloads=False),
    "dataport": Source(from_dataport, downloads=False),
}


def unpack_all(archives: list[dict], unpacked_gb: float | None, place: Place) -> int:
    """Unpack the archives of ``obtain`` into the data set's folder; returns the number of files in it."""
    journal = Journal(place.journal)
    if not any(Path(fact["path"]).exists() for fact in archives) and journal.all_there(place.root):
        return len(journal)
    limit = int(1.1e9 * unpacked_gb) if unpacked_gb else None
    for fact in archives:

        def room(missing: int, name: str = Path(fact["path"]).name) -> None:
            if missing:
                print(f"{name}: {missing / 1e9:,.2f} GB will be unpacked into {place.root}, beside the archive")
            packed = unpacked_bytes(unpacked_gb, missing)
            check_free_space({place.root: missing, place.packed: packed}, "the data set (unpacked and packed)")

        unpack(Path(fact["path"]), place.root, journal, ("aug", "music"), limit, room)
    return len(journal)


def record_and_clean_up(archives: list[dict], manifest: Path, place: Place, keep_archive: bool) -> None:
    """After a verification that passed: record the first archives and manifest; delete archives that were downloaded."""
    if not place.record.exists():
        shutil.copyfile(manifest, place.manifest)
        with atomic_write(place.record) as part:
            part.write_text(json.dumps(archives, indent=2) + "\n", encoding="utf-8")
    for fact in archives:
        if "sha256" in fact and not keep_archive:
            for path in (Path(fact["path"]), checksum_file(Path(fact["path"]))):
                path.unlink(missing_ok=True)


def unpacked_bytes(unpacked_gb: float | None, archive_bytes: int) -> int:
    """Bytes of the unpacked data set: as configured, else estimated from its archive."""
    return int(unpacked_gb * 1e9 if unpacked_gb else UNPACKED * archive_bytes)


def check_download_room(options: Mapping, place: Place, left: int, path: Path) -> None:
    """Raise UserError unless there is room for the rest of the archive, the unpacked and the packed data set."""
    unpacked = unpacked_bytes(options.get("unpacked_gb"), left + size_of(partial_files(path)[0]))
    check_free_space(
        {path.parent: left + unpacked, place.packed: unpacked}, "the data set (archive, unpacked and packed)"
    )


def checksum_file(archive: Path) -> Path:
    """Path of the file that keeps an archive's checksum."""
    return archive.with_name(f".{archive.name}.sha256")


def sha256_of(path: Path) -> str:
    """SHA-256 of a large file, with a progress bar; kept beside the file's size and times of change for the next call."""
    stat = path.stat()
    kept = checksum_file(path)
    state = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
    if kept.exists() and kept.read_text(encoding="utf-8").startswith(f"{state} "):
        return kept.read_text(encoding="utf-8").split()[3]
    digest = hashlib.sha256()
    bar = tqdm(total=stat.st_size, unit="B", unit_scale=True, desc=f"checksum of {path.name}")
    with open(path, "rb") as file, bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    with atomic_write(kept) as part:
        part.write_text(f"{state} {digest.hexdigest()}\n", encoding="utf-8")
    return digest.hexdigest()
