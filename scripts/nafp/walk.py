"""The files below a folder, by what their names end with: links are followed, loops and dangling links are not."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

_SUFFIXES = """
    .wav .wave .rf64 .bwf .w64 .aif .aiff .aifc .au .snd .caf .voc .sph .flac .ogg .oga .opus .spx .mp1 .mp2 .mp3 .mpa
    .m4a .m4b .m4r .mp4 .m4v .mov .3gp .3g2 .aac .adts .ac3 .eac3 .dts .wma .wmv .asf .amr .awb .gsm
    .mka .mkv .webm .weba .avi .flv .mpg .mpeg .ts .m2ts .vob .ogv .ogx
    .ape .wv .mpc .mpp .tta .tak .shn .ofr .dsf .dff .ra .rm .qcp
"""
AUDIO_SUFFIXES = frozenset(
    _SUFFIXES.split()
)  # in lower case; what cannot be read in the end is listed, not passed over


def is_audio(name: str | Path) -> bool:
    """Whether a file's name says that it holds sound; upper case counts too."""
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def is_wav(name: str | Path) -> bool:
    """Whether a file's name says that it is a WAV file; upper case counts too."""
    return os.path.splitext(name)[1].lower() == ".wav"


def files_below(root: Path | str, wanted: Callable[[str], bool] = lambda name: True) -> list[Path]:
    """Files below a folder whose names are wanted, in the order of their paths; links to files and folders are followed.

    A link to a folder that it lies in ends there; a link to nothing is left out. A folder that is not there holds none.
    """
    return sorted(Path(found) for found in _found(os.fspath(root), wanted, ()))


def _found(folder: str, wanted: Callable[[str], bool], above: tuple) -> Iterator[str]:
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError:
        return
    here = status.st_dev, status.st_ino
    if here in above:
        return
    for entry in entries:
        if entry.is_dir():
            yield from _found(entry.path, wanted, (*above, here))
        elif wanted(entry.name) and entry.is_file():
            yield entry.path


def state_of(place: Path | str | None) -> str | None:
    """Digest of the paths, sizes and times of change of a folder's audio files (or of one file); None if it is not there.

    It changes when a file is added, removed, renamed or replaced, by an older one too.
    """
    if not place or not os.path.exists(place):
        return None
    digest = hashlib.sha256()
    for path in files_below(place, is_audio) if os.path.isdir(place) else [Path(place)]:
        try:
            status = path.stat()
        except OSError:  # it went since
            continue
        name = os.fsencode(os.path.relpath(path, place))
        digest.update(b"%s\0%d\0%d\0" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:32]
