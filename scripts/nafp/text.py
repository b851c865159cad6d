"""Names and sentences made safe to show, whatever bytes they contain."""

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters of what spreadsheets take for a formula


def printable(text: str) -> str:
    """Text on one line, in valid Unicode; control characters and undecodable bytes are escaped as in Python (\\n, \\xe9).

    For display: unlike ``nafp.walk.escaped_path`` it cannot be undone.
    """

    def shown(character: str) -> str:
        if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte of a file name that is not UTF-8
            return f"\\x{ord(character) - 0xDC00:02x}"
        if character.isprintable() or unicodedata.category(character) == "Zs":
            return character
        return character.encode("unicode_escape").decode("ascii")

    return "".join(map(shown, text))


def spreadsheet_cell(text: str) -> str:
    """Text as a cell for spreadsheets: printable, with an apostrophe before what would be a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def shortened(text: str, width: int) -> str:
    """Printable text of at most ``width`` characters; the middle of longer text is left out."""
    text = printable(text)
    tail = (width - 1) // 2
    return text if len(text) <= width else f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def for_spreadsheets(table: "DataFrame") -> "DataFrame":
    """A table for people to open: each text in it as ``spreadsheet_cell`` returns it."""
    return table.map(lambda value: spreadsheet_cell(value) if isinstance(value, str) else value)
