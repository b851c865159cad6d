"""Names and sentences as people may see them, whatever bytes they are made of."""

import unicodedata

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet computes a cell that begins so


def printable(text: str) -> str:
    """Text on one line, in valid Unicode: other characters, and bytes that are none, as Python writes them (\\n, \\xe9)."""

    def shown(character: str) -> str:
        if 0xDC80 <= ord(character) <= 0xDCFF:  # a byte of a file name that is no UTF-8
            return f"\\x{ord(character) - 0xDC00:02x}"
        if character.isprintable() or unicodedata.category(character) == "Zs":
            return character
        return character.encode("unicode_escape").decode("ascii")

    return "".join(map(shown, text))


def cell(text: str) -> str:
    """Text as a cell of a table for spreadsheets: printable, and an apostrophe before what would be a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULA) else text


def shortened(text: str, width: int) -> str:
    """Printable text of at most so many characters; what is too long loses its middle."""
    text = printable(text)
    tail = (width - 1) // 2
    return text if len(text) <= width else f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
