"""Recognised intervals as a table for spreadsheets, as JSON, and as text for a terminal."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nafp.files import atomic_write
from nafp.identify.recognise import COLUMNS
from nafp.text import printable, shortened, spreadsheet_cell

WIDTH = 100  # columns of a terminal
SHOWN = 50  # rows printed on a terminal
UNREADABLE = "cannot be read"
TEXTS = ("query", "song", "runner_up", "copies", "note")


def unreadable(name: str, problem: str) -> dict:
    """The row of a recording that could not be read."""
    if problem.startswith(UNREADABLE):
        problem = problem.removeprefix(UNREADABLE).strip(" :()")
    return {"query": name, "copies": (), "note": f"{UNREADABLE}: {problem}"}


def gathered(rows: Sequence[dict]) -> pd.DataFrame:
    """One table of all answers; a small table for each recording would fragment the heap."""
    numbers = {name: float for name in COLUMNS if name not in TEXTS}
    return pd.DataFrame(rows, columns=COLUMNS).astype(numbers).round(dict.fromkeys(numbers, 3))


def write_csv(answers: pd.DataFrame, path: Path) -> None:
    """Write a CSV table for spreadsheets: UTF-8 with a byte order mark, names on one line, no formulas."""
    table = answers.assign(copies=["; ".join(map(printable, names)) for names in answers["copies"]])
    for name in TEXTS:
        table[name] = [spreadsheet_cell(text) if isinstance(text, str) else "" for text in table[name]]
    with atomic_write(path) as part:
        table.to_csv(part, index=False, encoding="utf-8-sig")


def to_json(answers: pd.DataFrame) -> str:
    """One JSON object a line, one for each row; unknown values are null."""

    def plain(value: object) -> object:
        if isinstance(value, tuple):
            return [printable(name) for name in value]
        if isinstance(value, str):
            return printable(value)
        return None if pd.isna(value) else value

    rows = ({name: plain(value) for name, value in row.items()} for row in answers.to_dict("records"))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def clock(seconds: float) -> str:
    """1:02:03 or 2:03; '' if unknown."""
    if pd.isna(seconds):
        return ""
    minutes, s = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{s:02d}" if minutes >= 60 else f"{minutes}:{s:02d}"


def to_text(answers: pd.DataFrame) -> str:
    """For a terminal: at most SHOWN rows of at most WIDTH columns."""
    lines = [f"{'recording':30}  {'from':>8} {'to':>8}  {'song':30}  {'at':>8}  score"]
    for row in answers.head(SHOWN).itertuples():
        line = f"{shortened(row.query, 30):30}  {clock(row.from_s):>8} {clock(row.to_s):>8}  "
        if not isinstance(row.song, str):
            lines.append(f"{line}{shortened(row.note, WIDTH - len(line))}")
            continue
        lines.append(f"{line}{shortened(row.song, 30):30}  {clock(row.offset_s):>8}  {row.score:.2f}")
        if row.copies:
            lines.append(f"{'':30}  also: {shortened('; '.join(row.copies), WIDTH - 38)}")
        if row.note:
            lines.append(f"{'':30}  {shortened(row.note, WIDTH - 32)}")
    if len(answers) > SHOWN:
        lines.append(f"... and {len(answers) - SHOWN} more rows")
    return "\n".join(line.rstrip() for line in lines)


def filled(sentence: str) -> str:
    """A sentence in lines of at most WIDTH columns; only paths may be longer."""
    return textwrap.fill(sentence, WIDTH, break_long_words=False, break_on_hyphens=False)


def summary(answers: pd.DataFrame) -> str:
    """One sentence: how many recordings were recognised, and how many could not be read."""
    found = answers.groupby("query", sort=False)["song"].apply(lambda songs: songs.notna().any())
    lost = answers["note"].astype(str).str.startswith(UNREADABLE).sum()
    if len(answers) and lost == len(answers):
        return f"none of the {lost} recordings could be read"
    return f"{found.sum()} of {len(found)} recordings recognised" + (f"; {lost} could not be read" if lost else "")
