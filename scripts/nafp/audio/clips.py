"""The clip table of a packed split, read without pandas: planning looks at it."""

import csv
from pathlib import Path


def read_clips(table: Path | str) -> dict[str, list]:
    """The columns path and samples of a clip table; OSError, ValueError or KeyError if it cannot be read."""
    with open(table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {"path": [row["path"] for row in rows], "samples": [int(row["samples"]) for row in rows]}
