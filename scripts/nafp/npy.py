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


def read_npy(path: Path) -> Array:
    """The array of a file; ValueError if it holds none that is made of plain numbers, OSError if it cannot be read."""
    content = path.read_bytes()
    try:
        if content[:6] != MAGIC:
            raise ValueError("not a .npy file")
        begin = 10 if content[6] == 1 else 12
        size = int.from_bytes(content[8:begin], "little")
        header = ast.literal_eval(content[begin : begin + size].decode("latin1"))
        order, kind = header["descr"][0], header["descr"][1:]
        code = CODES[kind]
        layout = struct.Struct(f"{'>' if order == '>' else '<'}{(len(content) - begin - size) // int(kind[1:])}{code}")
        numbers = list(layout.unpack_from(content, begin + size))
        name = KINDS[kind[0]] + (str(8 * int(kind[1:])) if kind[0] != "b" else "")
        shape = tuple(map(int, header["shape"]))
    except (struct.error, LookupError, SyntaxError, TypeError, UnicodeError) as error:
        raise ValueError(f"not a .npy file of plain numbers: {error}") from error
    if len(numbers) != prod(shape):
        raise ValueError(f"{len(numbers)} numbers in an array of shape {shape}")
    return Array(numbers, shape, name)
