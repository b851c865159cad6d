"""The files below a folder, by suffix; links are followed, but neither loops nor dangling links."""

import errno
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from nafp.errors import UserError, read_error

# Suffixes in lower case, also of formats that cannot be read: such files are listed, not passed over
_SUFFIXES = """
    .wav .wave .rf64 .bwf .w64 .aif .aiff .aifc .au .snd .caf .voc .sph .flac .ogg .oga .opus .spx .mp1 .mp2 .mp3 .mpa .mpga
    .m4a .m4b .m4p .m4r .mp4 .m4v .mov .3gp .3g2 .aac .adts .ac3 .eac3 .dts .wma .wmv .asf .amr .awb .gsm
    .mka .mkv .webm .weba .avi .flv .mpg .mpeg .ts .m2ts .vob .ogv .ogx
    .ape .wv .mpc .mpp .tta .tak .shn .ofr .dsf .dff .ra .ram .rm .qcp .oma .aa .aax .mid .midi
"""
AUDIO_SUFFIXES = frozenset(_SUFFIXES.split())


def is_audio(name: str | Path) -> bool:
    """Whether a file has the suffix of an audio format, in upper or lower case."""
    return os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES


def is_wav(name: str | Path) -> bool:
    """Whether a file has the suffix .wav, in upper or lower case."""
    return os.path.splitext(name)[1].lower() == ".wav"


NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\\(?=x[0-9a-f]{2}|u[0-9a-f]{4})")
ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4}))")


def escaped_path(path: str | Path) -> str:
    r"""A path as text for tables that are read back: undecodable bytes become \xhh, line breaks of any kind \xhh or \uhhhh.

    ``unescaped_path`` returns the path; ordinary paths stay as they are. Text that is only shown: ``nafp.text.printable``.
    """
    return NO_TEXT.sub(lambda found: _escape(ord(found[0])), os.fspath(path))


def _escape(number: int) -> str:
    if 0xDC80 <= number <= 0xDCFF:  # a byte, as Python has it in a name
        number -= 0xDC00
    elif number >= 0x80:
        return f"\\u{number:04x}"
    return f"\\x{number:02x}"


def unescaped_path(text: str) -> str:
    """The path of which ``escaped_path`` made this text."""
    return ESCAPED.sub(lambda found: chr(int(found[2], 16)) if found[2] else os.fsdecode(bytes.fromhex(found[1])), text)


def files_below(
    root: Path | str,
    wanted: Callable[[str], bool] = lambda name: True,
    dangling: bool = False,
    unreadable: dict[str, UserError] | None = None,
) -> list[Path]:
    """Files below a folder whose names are wanted, in the order of their paths; links to files and folders are followed.

    A link to one of its own parent folders is not followed; a dangling link is left out, unless ``dangling``. A folder that
    does not exist holds no files. ``unreadable`` takes the paths that it is unknown what is at, and what to say of them: folders
    that cannot be read, and links to nothing of any name, since they may have led to a folder.
    """
    lost = {} if unreadable is None else unreadable
    return sorted(Path(found) for found in _found(os.fspath(root), wanted, dangling, lost, ()))


def _found(
    folder: str, wanted: Callable[[str], bool], dangling: bool, unreadable: dict[str, UserError], above: tuple
) -> Iterator[str]:
    try:
        status = os.stat(folder)
        entries = list(os.scandir(folder))
    except OSError as error:
        unreadable[folder] = read_error(folder, error)
        return
    here = status.st_dev, status.st_ino
    if here in above:
        return
    for entry in entries:
        try:
            mode = os.stat(entry.path).st_mode
        except OSError as error:
            nowhere = error.errno in (errno.ENOENT, errno.ELOOP)
            if dangling and wanted(entry.name) and is_dangling(entry.path):
                yield entry.path
            elif os.path.islink(entry.path) or not nowhere:  # other files were deleted in the meantime
                lasting = UserError(f"{entry.path}: a link to a file that is not there")
                unreadable[entry.path] = lasting if nowhere else read_error(entry.path, error)
            continue
        if stat.S_ISDIR(mode):
            yield from _found(entry.path, wanted, dangling, unreadable, (*above, here))
        elif stat.S_ISREG(mode) and wanted(entry.name):
            yield entry.path


def is_dangling(path: Path | str) -> bool:
    """Whether a path is a link whose target does not exist, or a link to itself."""
    return os.path.islink(path) and not os.path.exists(path)


def folder_signature(place: Path | str | None) -> str | None:
    """Digest of the paths, sizes and times of change of a folder's audio files (or of one file); None if it is not there.

    It changes when a file is added, removed, renamed or replaced, even by an older one.
    """
    if not place or not os.path.exists(place):
        return None
    digest = hashlib.sha256()
    for path in files_below(place, is_audio) if os.path.isdir(place) else [Path(place)]:
        try:
            status = path.stat()
        except OSError:  # deleted in the meantime
            continue
        name = os.fsencode(os.path.relpath(path, place))
        digest.update(b"%s\0%d\0%d\0" % (name, status.st_size, status.st_mtime_ns))
    return digest.hexdigest()[:32]
