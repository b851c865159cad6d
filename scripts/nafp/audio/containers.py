"""Facts about a sound file before it is decoded: concatenated files, declared lengths, and files that are not sound."""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RIFF = (b"RIFF", b"RF64", b"BW64")
UNKNOWN_SIZE = 0x7FFF0000  # bytes; programs that write to a pipe declare this size or more, or 0
TAG = 10  # bytes of an ID3v2 header
MPEG_HEADS = (b"Xing", b"Info", b"VBRI")  # marks of a first frame that declares the number of frames
NOT_SOUND = {  # first bytes -> kind of file
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<?xml": "a text in XML",
    b"#extm3u": "a playlist",
    b"[playlist]": "a playlist",
    b"\x00\x05\x16\x07": "a side file of macOS",
    b"\x89png": "a picture",
    b"%pdf": "a PDF",
}


@dataclass(frozen=True)
class Piece:
    """A part of a file that is a sound file itself: bytes ``begin`` to ``end`` (exclusive), and whether it is complete."""

    begin: int
    end: int
    complete: bool = True


def pieces_of(path: Path) -> list[Piece]:
    """The sound files that a file consists of: links of an Ogg chain, or concatenated WAV files; usually one."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(12)
        if size and head[:4] == b"OggS":
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return ogg_links(data)
        if head[:4] in RIFF:
            return joined_wavs(file, size)
    return [Piece(0, size)]


def ogg_links(data: mmap.mmap) -> list[Piece]:
    """The links of an Ogg chain: each starts with first pages of streams, and ends with a last page."""
    links, begin, in_data, ended, end = [], 0, False, False, 0
    for at, end, flags in ogg_pages(data):  # noqa: B007
        if flags & 2 and in_data:
            links.append(Piece(begin, at, ended))
            begin, in_data, ended = at, False, False
        in_data = in_data or not flags & 2
        ended = ended or bool(flags & 4)
    return [*links, Piece(begin, len(data), ended and end <= len(data))]


def ogg_pages(data: mmap.mmap) -> Iterator[tuple[int, int, int]]:
    """Begin, end (past the end of the file if truncated) and flags (2: first of a stream, 4: last) of each Ogg page."""
    at = data.find(b"OggS")
    while at >= 0 and at + 27 <= len(data):
        segments = data[at + 26]
        end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
        yield at, end, data[at + 5]
        at = end if data[end : end + 4] == b"OggS" else data.find(b"OggS", at + 4)


def joined_wavs(file, size: int) -> list[Piece]:
    """Concatenated WAV files; anything else behind the first belongs to it."""
    begins, at = [0], 0
    while True:
        file.seek(at)
        head = file.read(12)
        length = int.from_bytes(head[4:8], "little")
        following = at + 8 + length + length % 2
        file.seek(following)
        head = file.read(12)
        if head[:4] not in RIFF or head[8:] != b"WAVE":
            return [Piece(a, b) for a, b in zip(begins, [*begins[1:], size], strict=True)]
        at = following
        begins.append(at)


@dataclass(frozen=True)
class WavData:
    """Data chunk of a WAV file: bytes that its header declares, and bytes present."""

    declared: int
    present: int

    @property
    def unknown(self) -> bool:
        """Whether the header declares no length, as in a file written to a pipe."""
        return self.declared == 0 or self.declared >= UNKNOWN_SIZE > self.present


def wav_data(file, piece: Piece) -> WavData | None:
    """The data chunk of a WAV file in an open file; None if there is none, or it is not a WAV file.

    A chunk of length 0 has bytes only where the length of the whole file is wrong too; otherwise other chunks follow it.
    """
    file.seek(piece.begin)
    head = file.read(12)
    if head[:4] not in RIFF or head[8:] != b"WAVE":
        return None
    whole = piece.begin + 8 + int.from_bytes(head[4:8], "little")
    long = None
    while len(head := file.read(8)) == 8:
        length, here = int.from_bytes(head[4:], "little"), file.tell()
        if head[:4] == b"ds64":
            long = int.from_bytes(file.read(16)[8:], "little")
        if head[:4] == b"data":
            declared = long if long is not None and length == 0xFFFFFFFF else length
            rest = max(piece.end - here, 0)
            empty = declared == 0 and whole in (piece.end, piece.end - 1)
            return WavData(declared, 0 if empty else min(rest, declared) if declared else rest)
        file.seek(here + length + length % 2)
    return None


def mpeg_declares_length(file) -> bool:
    """Whether the first frame of an MP3 declares the number of frames; without it a length is a guess."""
    file.seek(0)
    file.seek(id3_bytes(file.read(TAG)))
    head = file.read(512)
    return any(mark in head for mark in MPEG_HEADS)


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag at the start of a file, from its first 10 bytes; 0 if there is none."""
    if head[:3] != b"ID3" or len(head) < TAG:
        return 0
    return TAG + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def mp4_boxes(path: Path) -> list[str]:
    """Types of the boxes of an MP4 file, up to where it is truncated."""
    found, at, size = [], 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while at + 8 <= size:
            file.seek(at)
            head = file.read(16)
            found.append(head[4:8].decode("latin-1"))
            length = int.from_bytes(head[:4])
            length = int.from_bytes(head[8:]) if length == 1 else length or size
            at += max(length, 8)
    return found


def kind_of_other_file(path: Path) -> str:
    """Kind of a file that cannot be sound, by its first bytes; '' if it may be sound."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(64)
    if not size:
        return "an empty file"
    if tag := id3_bytes(head):
        return "tags without sound" if size <= tag + 128 else ""
    if head[4:8] == b"ftyp" and "moov" not in mp4_boxes(path):
        return "an MP4 file without its index (moov), probably an incomplete copy or download"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((what for first, what in NOT_SOUND.items() if start.startswith(first)), "")
