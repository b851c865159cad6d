"""From a source to a folder of files: archives brought here, compared with the first ones, unpacked, recorded, deleted."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from nafp.datasets.archive import unpack
from nafp.datasets.digests import BLOCK, Journal
from nafp.datasets.room import unpacked_bytes
from nafp.datasets.sources import SOURCES, Place
from nafp.disk import check_free_space
from nafp.errors import UserError
from nafp.files import atomic_write

FILE_FACTS = ("path", "bytes", "sha256")  # facts of an archive, beside its origin


def obtain(options: Mapping, place: Place) -> list[dict]:
    """Bring the archives of a data set here, unless it is unpacked and verified already; returns path, bytes and origin of each.

    Downloaded ones have their sha256 too. ``options``: the config's ``dataset``, of which source and what it requires are the
    origin. Raises UserError if they cannot be had, or differ from the record.
    """
    recorded = json.loads(place.record.read_text(encoding="utf-8")) if place.record.exists() else []
    source = SOURCES[options["source"]]
    origin = {name: options[name] for name in ("source", *source.required)}
    others = [fact for fact in recorded if origin | fact != fact | origin]  # an older record does not state its origin
    if others and source.downloads:
        stated = ", ".join(f"{name}: {value}" for name, value in others[0].items() if name not in FILE_FACTS)
        raise UserError(f"{place.root}: was verified with other archives ({stated}, {known_from(place)}")
    if recorded and not others and Journal(place.journal).all_there(place.root):
        print(f"{place.root}: unpacked and verified already")
        return recorded
    facts = [{"path": str(path), "bytes": path.stat().st_size, **origin} for path in source.bring(options, place)]
    if source.downloads:
        facts = [fact | {"sha256": sha256_of(Path(fact["path"]))} for fact in facts]
    compare_with_record(facts, recorded, place)
    return facts


def compare_with_record(facts: list[dict], recorded: list[dict], place: Place) -> None:
    """Raise UserError if the archives are not those that were verified first, by checksums or, of the user's own, by sizes."""
    for fact in facts:
        key = "sha256" if all("sha256" in one for one in [fact, *recorded]) else "bytes"
        if recorded and fact[key] not in {one[key] for one in recorded}:
            what = f"download (SHA-256 {fact[key]}" if key == "sha256" else f"archive ({fact[key]:,} bytes"
            raise UserError(f"{fact['path']}: differs from the first verified {what}, {known_from(place)}")


def known_from(place: Place) -> str:
    """The end of a sentence about other archives than the recorded ones: how to go on with them."""
    return f"recorded in {place.record}); if this is a new version that you want, delete {place.record} and {place.manifest}"


def unpack_all(archives: list[dict], unpacked_gb: float | None, place: Place) -> int:
    """Unpack the archives of ``obtain`` into the data set's folder; returns the number of files in it."""
    journal = Journal(place.journal)
    if not any(Path(fact["path"]).exists() for fact in archives) and journal.all_there(place.root):
        return len(journal)
    if forget_replaced(archives, place):
        journal = Journal(place.journal)
    limit = int(1.1e9 * unpacked_gb) if unpacked_gb else None
    for fact in archives:

        def room(missing: int, name: str = Path(fact["path"]).name) -> None:
            if missing:
                print(f"{name}: {missing / 1e9:,.2f} GB will be unpacked into {place.root}, beside the archive")
            packed = unpacked_bytes(unpacked_gb, missing)
            check_free_space({place.root: missing, place.packed: packed}, "the data set (unpacked and packed)")

        unpack(Path(fact["path"]), place.root, journal, ("aug", "music"), limit, room)
    return len(journal)


def forget_replaced(archives: Sequence[Mapping], place: Place) -> bool:
    """Delete the journal if one of the archives that its files are from was replaced; returns whether it did.

    Replaced ones may hold files of the same names and sizes. They are known by their checksums if they were downloaded, else by
    size and time of change.
    """
    known = place.unpacked_from.read_text(encoding="ascii").splitlines() if place.unpacked_from.exists() else []
    stats = [(fact, Path(fact["path"]).stat()) for fact in archives]
    present = [fact.get("sha256") or f"{stat.st_size} {stat.st_mtime_ns}" for fact, stat in stats]
    replaced = not set(known) <= set(present)
    if replaced:
        print(f"{place.root}: was unpacked from another archive, and is unpacked anew")
        place.journal.unlink(missing_ok=True)
    with atomic_write(place.unpacked_from) as part:
        part.write_text("".join(f"{one}\n" for one in present), encoding="ascii")
    return replaced


def record_first(archives: Sequence[Mapping], manifest: Path, place: Place) -> None:
    """After a verification that passed: record the archives and the manifest, if they are the first."""
    if place.record.exists():
        return
    shutil.copyfile(manifest, place.manifest)
    with atomic_write(place.record) as part:
        part.write_text(json.dumps(archives, indent=2) + "\n", encoding="utf-8")


def downloaded_files(archives: Sequence[Mapping]) -> Iterator[Path]:
    """The archives that were downloaded, and the checksums kept beside them, as far as they are there."""
    for fact in archives:
        for path in (Path(fact["path"]), checksum_file(Path(fact["path"]))):
            if "sha256" in fact and path.exists():
                yield path


def remove_archives(archives: Sequence[Mapping]) -> list[Path]:
    """Delete the archives that were downloaded; returns what was deleted."""
    found = list(downloaded_files(archives))
    for path in found:
        path.unlink()
    return found


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
