"""Made-up scoreboards to be compared: result folders with cells, what made them, and differences that were planted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from boards import FIELDS, facts, write_cell, write_run

from nafp.grid import run_name

INDEXES = ("l2", "ivfpq")


def write_results(
    folder: Path,
    day: int = 20,
    better: Mapping[str, float] | None = None,
    augs: Sequence[str] = ("full", "none"),
    made: Mapping | None = None,
    **over,
) -> Path:
    """A result folder of all ``augs`` with INDEXES, searched on a day of November 2026.

    ``better``: augmentation -> how much more skilled its runs are than usual. ``made``: facts of its jobs. ``over``: of cells.
    """
    for number, aug in enumerate(augs):
        for place, index in enumerate(INDEXES):
            job = facts(date=f"2026-11-{day}T09:30:00+00:00", **(made or {}))
            skill = 0.3 * (aug == "full") + (better or {}).get(aug, 0)
            given = {"queries": 200, "provenance": {"index": job, "search": job}} | over
            write_cell(folder / "scores", {"aug": aug}, index, skill=skill, seed=2 * number + place, **given)
        write_run(folder, run_name(FIELDS | {"aug": aug}).replace("/", "-"), [facts(**(made or {}))])
    return folder
