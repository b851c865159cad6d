"""Small ``.npy`` files, read without NumPy: planning looks at them, and needs little to be installed."""

import ast
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

MAGIC = b"\x93NUMPY"
CODES = {  # NumPy's type -> that of struct
    **{"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q", "u1": "B", "u2": "H", "u4": "I", "u8": "Q"},
    **{"f2": "e", "f4": "f", "f8": "d"},
}
LONGEST_HEADER = 2**17  # bytes; more than version 1 of the format allows
KINDS = {"b": "bool", "i": "int", "u": "uint", "f": "float"}


@dataclass(frozen=True)
class Array:
    """The numbers of an array, flat, its shape, and its dtype as NumPy names it."""

    numbers: list[int] | list[float]
    shape: tuple[int, ...]
    dtype: str

    @property
    def whole(self) -> bool:
        """Whether they are integers by their dtype."""
        return self.dtype.startswith(("int", "uint"))

    def tolist(self) -> object:
        """The numbers as lists in lists, like those of NumPy."""
        found: list = self.numbers
        for length in reversed(self.shape):
            found = [found[i : i + length] for i in range(0, len(found), max(length, 1))]
        return found[0] if found else []


@dataclass(frozen=True)
class Header:
    """What a file says of its array. ``code``: of its numbers, for struct; ``begin``: where they do."""

    shape: tuple[int, ...]
    dtype: str
    fortran: bool
    order: str
    code: str
    itemsize: int
    begin: int

    @property
    def bytes(self) -> int:
        """Size of the whole file."""
        return self.begin + self.itemsize * prod(self.shape)


def read_header(path: Path) -> Header:
    """The header of a file; ValueError if it holds no array of plain numbers, OSError if it cannot be read."""
    with open(path, "rb") as file:
        content = file.read(LONGEST_HEADER)
    try:
        if content[:6] != MAGIC:
            raise ValueError("not a .npy file")
        begin = 10 if content[6] == 1 else 12
        size = int.from_bytes(content[8:begin], "little")
        header = ast.literal_eval(content[begin : begin + size].decode("latin1"))
        order, kind = header["descr"][0], header["descr"][1:]
        itemsize, name = int(kind[1:]), KINDS[kind[0]] + (str(8 * int(kind[1:])) if kind[0] != "b" else "")
        shape = tuple(map(int, header["shape"]))
        fortran = bool(header["fortran_order"]) and len(shape) > 1
        return Header(shape, name, fortran, ">" if order == ">" else "<", CODES[kind], itemsize, begin + size)
    except (LookupError, SyntaxError, TypeError, UnicodeError) as error:
        raise ValueError(f"not a .npy file of plain numbers: {error}") from error


def read_npy(path: Path) -> Array:
    """The array of a file; ValueError if it holds none that is made of plain numbers, OSError if it cannot be read."""
    header, content = read_header(path), path.read_bytes()
    layout = struct.Struct(f"{header.order}{(len(content) - header.begin) // header.itemsize}{header.code}")
    try:
        numbers = list(layout.unpack_from(content, header.begin))
    except struct.error as error:
        raise ValueError(f"not a .npy file of plain numbers: {error}") from error
    if len(numbers) != prod(header.shape):
        raise ValueError(f"{len(numbers)} numbers in an array of shape {header.shape}")
    return Array(numbers, header.shape, header.dtype)
