"""Scoreboards (result folders or snapshots of them) held against each other, cell by cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.errors import UserError
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.metrics import with_paired_tests
from nafp.evaluation.song_hits import UNTESTED, Pair, SongHits, paired_tests, read_hits
from nafp.evaluation.statistics import LEVEL, holm
from nafp.report.tables.cells import load_cells, run_labels, with_intervals

SHARED = {  # what two cells must share -> what is said of those that do not
    "dataset": "are of data sets with different names",
    "audio": "are of data sets with different audio",
    "database": "searched databases of different sizes",
    "protocol": "follow different protocols",
    "query_set": "are of different query sets",
    "query_chain": "are of queries that were degraded differently",
}
OF_CELL = ["run", "index", "epoch", "match", "query_s", "songs", "queries"]
OF_RATES = ["board", "cell", "file", "query_s", "low_pct", "high_pct"]  # columns beside those of `load_cells`
NO_LABELS = ["dataset", "protocol", "epoch"]  # in which boards may differ, but not the runs of one
OF_TEST = {
    "difference": "difference",
    "low": "difference_low",
    "high": "difference_high",
}  # of a Pair -> column, points


@dataclass(frozen=True)
class Board:
    """One scoreboard: its name among those compared, its folder, and its cells' files by their paths below scores/.

    ``date``: of its last search, ISO 8601; empty if no cell has recorded it.
    """

    name: str
    folder: Path
    cells: dict[str, Path]
    date: str


@dataclass(frozen=True)
class LineUp:
    """``table``: as `line_up` says. ``remarks``: sentences on what could not be tested."""

    boards: Sequence[Board]
    table: pd.DataFrame
    remarks: list[str]

    @property
    def tested(self) -> pd.DataFrame:
        """The rows that are tested against the board before."""
        return self.table[self.table["p"].notna()]


@dataclass(frozen=True)
class Comparison:
    """``table``: a row a cell, match and query length, as `compare` says. ``remarks``: what could not be compared."""

    table: pd.DataFrame
    cells: int
    remarks: list[str]


def compare(a: Path, b: Path, match: str = "exact") -> Comparison:
    """Compare the cells that two folders share by their path below scores/, if they answered the same queries.

    The table's columns: OF_CELL, a_pct, b_pct, difference (b - a, points) and its 95 % interval over songs, p (of `paired_test`),
    p_holm. Raises UserError for a folder without cells, and for two of which no cells can be compared.
    """
    found = line_up(read_boards([a, b]), match)
    table = found.table
    shared = table[table["before"].notna()]
    if shared.empty:
        raise UserError(f"{a} and {b} share no cell: no path below their scores/ is the same")
    if found.tested.empty:
        reasons, count = ", ".join(shared["why"].unique()), shared["cell"].nunique()
        raise UserError(f"{a} and {b} cannot be compared: the {count} cells that they share {reasons}")
    tested = found.tested.rename(columns={"before_pct": "a_pct", "hit_rate_pct": "b_pct"}).reset_index(drop=True)
    columns = [*OF_CELL, "a_pct", "b_pct", *OF_TEST.values(), "p", "p_holm"]
    return Comparison(tested[columns], tested["cell"].nunique(), found.remarks)


# ---------------------------------------------------------------- reading


def read_boards(folders: Sequence[Path]) -> list[Board]:
    """Result folders as boards, in their order; UserError for one without cells, or with a damaged one."""
    boards = []
    for name, folder in zip(names_of(folders), folders, strict=True):
        cells = find_cells(folder)
        searches = [(read_cell(path).provenance or {}).get("search", {}) for path in cells.values()]
        boards.append(Board(name, folder, cells, max(one.get("date", "") for one in searches)))
    return boards


def names_of(folders: Sequence[Path]) -> list[str]:
    """Short names that tell folders apart: the ends of their paths, numbered where a folder is given twice."""
    parts = [folder.absolute().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(one[-length:]) for one in parts]
        if len(set(names)) == len(set(parts)):
            break
    return [f"{name} ({names[:i].count(name) + 1})" if name in names[:i] else name for i, name in enumerate(names)]


def find_cells(folder: Path) -> dict[str, Path]:
    """Path below scores/ -> cell file."""
    root = folder / "scores" if (folder / "scores").is_dir() else folder
    cells = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.json"))}
    if not cells:
        raise UserError(f"{folder}: no cells there; give a folder like results/demo")
    return cells


def read_cell(path: Path) -> Cell:
    """A cell; UserError if the file is damaged or none."""
    try:
        return Cell.read(path)
    except ValueError as problem:
        raise UserError(f"{problem}; give folders like results/demo, which hold scores/") from problem


def no_hits(*matches: str) -> str:
    """What is said where cells have no hits of these kinds."""
    return (
        f"{', '.join(matches)} hits are not known, because it is not known where in their songs the queries are, or the cells "
        "are older than this kind of hit; take --match song"
    )


def answers_of(cell: Path) -> SongHits:
    """The hits of a cell, by song."""
    return read_hits(table_beside(cell))


# ---------------------------------------------------------------- side by side


def line_up(boards: Sequence[Board], match: str = "exact", level: float = LEVEL) -> LineUp:
    """All cells of some boards side by side, each tested against the board before it that has the cell.

    The table has a row a cell, match, query length and board, cells in the order of the first board that has them. Its columns
    are those of `load_cells` and: board, cell (path below scores/), file, method (short name of the run), low_pct and high_pct
    (95 % over songs; NaN without a per-query table), before (the board it is tested against; none: the first one), before_pct,
    why (why it is not tested), difference (points) with difference_low and difference_high, p, p_holm (corrected for all tests of
    the table), songs_differing, outcome ("better" or "worse" than before where p_holm is below ``level``), not_sure (how many
    tests have no outcome, by which Holm's correction multiplies the smallest p of these).
    """
    if match not in (*with_paired_tests(), "all"):
        raise UserError(f"--match {match}: known are {', '.join(with_paired_tests())} and all")
    matches = with_paired_tests() if match == "all" else [match]
    table = pd.concat([_rates(board, matches) for board in boards], ignore_index=True)
    order = {name: i for i, name in enumerate(dict.fromkeys(name for board in boards for name in board.cells))}
    table = table.sort_values("cell", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)
    names = run_labels(table.drop(columns=[*NO_LABELS, *OF_RATES]))
    table = table.assign(method=table["run"].map(names), **_against_before(table, matches))
    table["p_holm"] = holm(table["p"])
    signs = np.sign(table["difference"].fillna(0)).astype(int)
    table["outcome"] = np.where(table["p_holm"] < level, np.array(["", "better", "worse"])[signs], "")
    table["not_sure"] = (table["p"].notna() & table["outcome"].eq("")).sum()
    return LineUp(boards, table, list(_remarks(boards, table)))


def _rates(board: Board, matches: Sequence[str]) -> pd.DataFrame:
    """The rates of a board, with intervals where there is a per-query table."""
    try:
        cells = load_cells(board.cells.values())
    except ValueError as problem:
        raise UserError(f"{board.folder}: {problem}") from problem
    names = {table_beside(path): name for name, path in board.cells.items()}
    cells = cells[cells["match"].isin(matches)].rename(columns={"seconds": "query_s"})
    if cells.empty:
        raise UserError(f"{board.folder}: {no_hits(*matches)}")
    cells = cells.assign(board=board.name, cell=cells["answers"].map(names), low_pct=np.nan, high_pct=np.nan)
    cells["file"] = cells["cell"].map(board.cells)
    counted = cells["answers"].map(Path.is_file)
    asked = cells[counted].assign(seconds=cells["query_s"], answers=[(path,) for path in cells.loc[counted, "answers"]])
    cells.loc[counted, ["low_pct", "high_pct"]] = with_intervals(asked)[["low_pct", "high_pct"]] if len(asked) else None
    return cells


def _against_before(table: pd.DataFrame, matches: Sequence[str]) -> dict[str, list]:
    """The columns of each row that say what it is against the board before."""
    columns = ["before", "before_pct", "why", *OF_TEST.values(), "p", "songs_differing"]
    rows, last, found = [], {}, {}
    for row in table.to_dict("records"):
        place = row["cell"], row["match"], row["query_s"]
        before = last.get(place)
        last[place] = row
        if before is None:
            rows.append([None, np.nan, "", np.nan, np.nan, np.nan, np.nan, 0])
            continue
        two = before["file"], row["file"]
        if two not in found:
            found[two] = tested(*two, matches)
        why, pairs = found[two]
        pair = pairs.get(place[1:], UNTESTED)
        points = [100 * getattr(pair, name) for name in OF_TEST]
        rows.append([before["board"], before["hit_rate_pct"], why, *points, pair.p, pair.differing])
    return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))


def tested(
    a: Path, b: Path, matches: Sequence[str], level: float = 1 - LEVEL
) -> tuple[str, dict[tuple[str, float], Pair]]:
    """Cell b against cell a: why they are not tested, or nothing, and the tests, (match, seconds) -> b minus a."""
    why = why_not_paired(a, b)
    return why, {} if why else paired_tests([answers_of(b)], [answers_of(a)], matches, level)


def why_not_paired(a: Path, b: Path) -> str:
    """Why the queries of two cells are not the same ones, in a few words; nothing if they are."""
    if not all(table_beside(path).is_file() for path in (a, b)):
        return "lack a per-query table (.hits.parquet)"
    ours, theirs = read_cell(a), read_cell(b)
    for name, words in SHARED.items():
        if getattr(ours, name) != getattr(theirs, name):
            return words
    return "" if answers_of(a).asked == answers_of(b).asked else "are of different songs or times (search.test_ids)"


def _remarks(boards: Sequence[Board], table: pd.DataFrame) -> Iterator[str]:
    """Sentences on what boards do not share."""
    for board in boards:
        only = set(board.cells) - {name for other in boards if other is not board for name in other.cells}
        if only:
            yield f"Only in {board.folder}: {len(only)} cells, the first is {min(only)}."
        if without := set(board.cells) - set(table.loc[table["board"].eq(board.name), "cell"]):
            yield f"Without hits of this kind in {board.folder}: {len(without)} cells, the first is {min(without)}."
    for (board, before, why), rows in table[table["why"].ne("")].groupby(["board", "before", "why"], sort=False):
        names, which = rows["cell"].unique(), f" ({board} with {before})" if len(boards) > 2 else ""
        yield f"Not compared{which}: {len(names)} cells, which {why}; the first is {names[0]}."
