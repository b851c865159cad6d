"""Two result folders, cell by cell."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nafp.errors import UserError
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.metrics import with_paired_tests
from nafp.evaluation.song_hits import SongHits, paired_tests, read_hits
from nafp.evaluation.statistics import holm

ALIKE = {  # what two cells must share -> what is said of those that do not
    "dataset": "are of data sets with different names",
    "audio": "are of data sets with different audio",
    "database": "searched databases of different sizes",
    "protocol": "follow different protocols",
    "query_set": "are of different query sets",
    "query_chain": "are of queries that were degraded differently",
}


@dataclass(frozen=True)
class Comparison:
    """``table``: a row a cell, match and query length, as `compare` says. ``remarks``: what could not be compared."""

    table: pd.DataFrame
    cells: int
    remarks: list[str]


def compare(a: Path, b: Path, match: str = "exact") -> Comparison:
    """Compare the cells that two folders share by their path below scores/, if they answered the same queries.

    The table's columns: run, index, epoch, match, query_s, songs, queries, a_pct, b_pct, difference (b - a, points), p (of
    `paired_test`), p_holm. Raises UserError for a folder without cells, and for two of which no cells can be compared.
    """
    if match not in (*with_paired_tests(), "all"):
        raise UserError(f"--match {match}: known are {', '.join(with_paired_tests())} and all")
    cells_a, cells_b = find_cells(a), find_cells(b)
    shared = [name for name in cells_a if name in cells_b]
    if not shared:
        raise UserError(f"{a} and {b} share no cell: no path below their scores/ is the same")
    refused = {name: why_not_paired(cells_a[name], cells_b[name]) for name in shared}
    paired = [name for name in shared if not refused[name]]
    if not paired:
        reasons = ", ".join(dict.fromkeys(refused.values()))
        raise UserError(f"{a} and {b} cannot be compared: the {len(shared)} cells that they share {reasons}")
    table = pd.concat([of_cell(cells_a[name], cells_b[name]) for name in paired], ignore_index=True)
    table = table[table["match"].eq(match) | (match == "all")].reset_index(drop=True)
    table["p_holm"] = holm(table["p"])
    return Comparison(table, len(paired), list(remarks(a, b, cells_a, cells_b, refused)))


def find_cells(folder: Path) -> dict[str, Path]:
    """Path below scores/ -> cell file."""
    root = folder / "scores" if (folder / "scores").is_dir() else folder
    cells = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.json"))}
    if not cells:
        raise UserError(f"{folder}: no cells there; give a folder like results/demo")
    return cells


def why_not_paired(a: Path, b: Path) -> str:
    """Why the queries of two cells are not the same ones, in a few words; nothing if they are."""
    if not all(table_beside(path).is_file() for path in (a, b)):
        return "lack a per-query table (.hits.parquet)"
    ours, theirs = Cell.read(a), Cell.read(b)
    for name, words in ALIKE.items():
        if getattr(ours, name) != getattr(theirs, name):
            return words
    return "" if answers_of(a).asked == answers_of(b).asked else "are of different songs or times (search.test_ids)"


def answers_of(cell: Path) -> SongHits:
    """The hits of a cell, by song."""
    return read_hits(table_beside(cell))


def of_cell(a: Path, b: Path) -> pd.DataFrame:
    """The rows of one cell."""
    cell, ours, theirs = Cell.read(a), answers_of(a), answers_of(b)
    shared = {"run": cell.run, "index": cell.index, "epoch": cell.epoch}
    songs, queries = len(ours.queries), int(ours.queries.sum())
    rows = []
    for (match, seconds), pair in paired_tests([theirs], [ours]).items():
        rates = [100 * one.of(match, seconds).sum() / queries for one in (ours, theirs)]
        rows.append(
            {
                **shared,
                **{"match": match, "query_s": seconds, "songs": songs, "queries": queries},
                **{"a_pct": rates[0], "b_pct": rates[1], "difference": rates[1] - rates[0], "p": pair.p},
            }
        )
    return pd.DataFrame(rows)


def remarks(a: Path, b: Path, cells_a: Mapping, cells_b: Mapping, refused: Mapping[str, str]) -> Iterator[str]:
    """Sentences on what the two do not share."""
    for folder, only in ((a, set(cells_a) - set(cells_b)), (b, set(cells_b) - set(cells_a))):
        if only:
            yield f"Only in {folder}: {len(only)} cells, the first is {min(only)}."
    for reason in dict.fromkeys(filter(None, refused.values())):
        names = [name for name, one in refused.items() if one == reason]
        yield f"Not compared: {len(names)} cells, which {reason}; the first is {names[0]}."
