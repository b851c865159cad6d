"""A snapshot of a scoreboard: what a later one can be compared with, in files small enough for git."""

import shutil
from pathlib import Path

from nafp.errors import UserError
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.song_hits import read_counted
from nafp.report.tables.comparison import find_cells, read_cell

HISTORY = Path("history")


def take_snapshot(results: Path, folder: Path | None = None) -> Path:
    """Copy a scoreboard's cells, the provenance of their runs and the tables of its studies; returns the folder.

    The layout is that of the results, so that both are compared alike. Of per-query tables only `read_counted` is kept, a
    hundredth of the bytes: rates, intervals and tests can be computed again, answers cannot be read. ``folder``: `snapshot_name`
    in HISTORY if not given. UserError if it holds another snapshot already; the same one is left as it is.
    """
    if not (results / "scores").is_dir():
        raise UserError(f"{results}: no scores/ there; give a folder like results/demo")
    cells = find_cells(results)
    folder = folder or HISTORY / results.resolve().name / snapshot_name(results, [*map(read_cell, cells.values())])
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for name, path in cells.items():
            copy_cell(path, part / "scores" / name)
        runs = {name.split("/")[0] for name in cells}
        provenances = [results / "runs" / run / "provenance.json" for run in sorted(runs)]
        for path in [*provenances, *sorted((results / "scoreboard").glob("*.csv"))]:
            if path.is_file():
                copy(path, part / path.relative_to(results))
        if not folder.exists():
            part.rename(folder)
        elif contents(folder) != contents(part):
            raise UserError(f"{folder} is there already and holds something else; give another folder")
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def snapshot_name(results: Path, cells: list[Cell]) -> str:
    """Date and commit of the last search, as its cell records them; UserError if none does."""
    searches = [(cell.provenance or {}).get("search", {}) for cell in cells]
    dated = [search for search in searches if "date" in search]
    if not dated:
        raise UserError(f"{results}: its cells do not say when they were made; give a folder for the snapshot")
    last = max(dated, key=lambda search: search["date"])
    return f"{last['date'][:10]}-{last['commit']}" + "-changed" * bool(last["changed"])


def copy_cell(path: Path, to: Path) -> None:
    """A cell, and of the table beside it what says which queries are hits."""
    copy(path, to)
    table = table_beside(path)
    if table.is_file():
        read_counted(table).to_parquet(table_beside(to), index=False, compression="zstd")


def copy(path: Path, to: Path) -> None:
    """Copy a file, without its times."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, to)


def contents(folder: Path) -> dict[str, bytes]:
    """File -> what is in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
