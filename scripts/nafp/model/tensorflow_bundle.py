"""The tensors of a TensorFlow 2 checkpoint (``ckpt-N.index`` and ``ckpt-N.data-00000-of-00001``), read without TensorFlow.

The index is a sorted string table as LevelDB has them: a footer of 48 bytes leads to a block of handles, each of which leads to a
block of entries. The key of an entry is the name of a tensor, its value says by protobuf's wire format where the bytes lie.
Every block and every tensor has a checksum: CRC-32C, "masked" (https://github.com/google/leveldb/blob/main/doc/log_format.md).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from nafp.errors import UserError

MAGIC = 0xDB4775248B80FB57
FOOTER, TRAILER = 48, 5  # bytes; a trailer is the kind of compression and a checksum
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 10: "?", 19: "<f2"}  # number in the file -> of NumPy


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies: data type by its number, shape, number of the data file, first byte, bytes, checksum."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


class Bundle:
    """A checkpoint by its prefix, say ``folder/ckpt-100``. UserError if it is none, or is damaged.

    ``entries``: name -> Entry, of all that is in it, optimizer slots included.
    """

    def __init__(self, prefix: Path | str):
        self.prefix = Path(prefix)
        self.entries = {}
        for name, value in self._table(self._bytes(".index")):
            fields = _message(value)
            if not name:
                self.shards = fields.get(1, [1])[0]
                if fields.get(2, [0])[0]:
                    raise self._error("is big-endian; save it again on an ordinary machine")
            elif 7 in fields:
                raise self._error(f"stores {name} in slices, which is not read here; save it from one device")
            else:
                self.entries[name] = _entry(fields)

    def tensor(self, name: str) -> np.ndarray:
        """A numeric tensor by its name; KeyError if there is none, UserError if its bytes are damaged."""
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise self._error(f"has {name} as data type {entry.dtype}, which is not read here")
        suffix = f".data-{entry.shard:05d}-of-{self.shards:05d}"
        raw = self._bytes(suffix, entry.offset, entry.size)
        if len(raw) != entry.size or _masked_checksum(raw) != entry.checksum:
            raise self._error(f"is damaged: {name} in {suffix} is not what was saved; download it again")
        return np.frombuffer(raw, DTYPES[entry.dtype]).reshape(entry.shape)

    def _bytes(self, suffix: str, offset: int = 0, size: int = -1) -> bytes:
        path = self.prefix.with_name(self.prefix.name + suffix)
        try:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); a checkpoint has an .index and a .data file"
            ) from error

    def _error(self, problem: str) -> UserError:
        return UserError(f"{self.prefix}: this TensorFlow checkpoint {problem}")

    def _table(self, file: bytes) -> Iterator[tuple[str, bytes]]:
        """(key, value) of all entries of the index."""
        if len(file) < FOOTER or int.from_bytes(file[-8:], "little") != MAGIC:
            raise UserError(f"{self.prefix}.index: is no index of a TensorFlow 2 checkpoint, or it was cut short")
        try:
            at = len(file) - FOOTER
            for _ in range(2):  # the handle of a block that is not used, then that of the handles
                offset, at = _varint(file, at)
                size, at = _varint(file, at)
            for _, handle in self._block(file, offset, size):
                first, at = _varint(handle, 0)
                for key, value in self._block(file, first, _varint(handle, at)[0]):
                    yield key.decode(), value
        except (IndexError, UnicodeDecodeError) as error:
            raise self._error("is damaged: its index ends in the middle") from error

    def _block(self, file: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) of a block, whose keys leave out what they share with the one before."""
        body, trailer = file[offset : offset + size], file[offset + size :][:TRAILER]
        if _masked_checksum(body + trailer[:1]) != int.from_bytes(trailer[1:], "little"):
            raise self._error("is damaged: a checksum of its index is wrong; download it again")
        if trailer[0]:
            raise self._error("has a compressed index, which TensorFlow does not write and is not read here")
        restarts = int.from_bytes(body[-4:], "little")
        at, end, key = 0, len(body) - 4 * (restarts + 1), b""
        while at < end:
            shared, at = _varint(body, at)
            own, at = _varint(body, at)
            length, at = _varint(body, at)
            key = key[:shared] + body[at : at + own]
            yield key, body[at + own : at + own + length]
            at += own + length


def _entry(fields: dict[int, list]) -> Entry:
    shape = [_message(size).get(1, [0])[0] for size in _message(fields.get(2, [b""])[0]).get(2, [])]
    first = {number: fields.get(number, [0])[0] for number in (1, 3, 4, 5, 6)}
    return Entry(first[1], tuple(shape), first[3], first[4], first[5], first[6])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number stored as groups of 7 bits, lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _message(data: bytes) -> dict[int, list]:
    """Fields of a protobuf message: number -> values, integers or bytes."""
    fields, at = {}, 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
            case 2:
                length, at = _varint(data, at)
                value, at = data[at : at + length], at + length
            case kind:
                length = {1: 8, 5: 4}.get(kind)
                if length is None:
                    raise IndexError(f"wire type {kind}")
                value, at = int.from_bytes(data[at : at + length], "little"), at + length
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _masked_checksum(data: bytes) -> int:
    """CRC-32C, rotated and shifted by a constant, as the format stores it."""
    found = google_crc32c.value(data)
    return (((found >> 15) | (found << 17)) + 0xA282EAD8) & 0xFFFFFFFF
