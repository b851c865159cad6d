"""Two result folders, cell by cell."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.errors import UserError
from nafp.report.cells import load_cells
from nafp.report.significance import HIT, hits_beside, holm, paired_p, read_hits, unpaired_p


@dataclass(frozen=True)
class Comparison:
    """``table``: a row a cell, match and query length, as `compare` says. ``remarks``: what could not be compared."""

    table: pd.DataFrame
    cells: int
    remarks: list[str]


def compare(a: Path, b: Path, match: str = "exact") -> Comparison:
    """Compare the cells that two folders share by their path below scores/.

    The table's columns: run, index, epoch, match, query_s, queries_a, queries_b, a_pct, b_pct, difference (b - a, points), p,
    test ("paired" on the same queries, or "unpaired"), p_holm. Raises UserError for a folder without cells, or two that
    share none.
    """
    if match not in (*HIT, "all"):
        raise UserError(f"--match {match}: known are {', '.join(HIT)} and all")
    cells_a, cells_b = find_cells(a), find_cells(b)
    shared = [name for name in cells_a if name in cells_b]
    if not shared:
        raise UserError(f"{a} and {b} share no cell: no path below their scores/ is the same")
    tables = [of_cell(cells_a[name], cells_b[name]) for name in shared]
    table = pd.concat(tables, ignore_index=True)
    table = table[table["match"].eq(match) | (match == "all")].reset_index(drop=True)
    table["p_holm"] = holm(table["p"])
    return Comparison(table, len(shared), list(remarks(a, b, cells_a, cells_b, table)))


def find_cells(folder: Path) -> dict[str, Path]:
    """Path below scores/ -> cell file."""
    root = folder / "scores" if (folder / "scores").is_dir() else folder
    cells = {path.relative_to(root).as_posix(): path for path in sorted(root.rglob("*.json"))}
    if not cells:
        raise UserError(f"{folder}: no cells there; give a folder like results/demo")
    return cells


def of_cell(a: Path, b: Path) -> pd.DataFrame:
    """The rows of one cell."""
    keys = ["run", "index", "epoch", "match", "seconds"]
    both = load_cells([a])[[*keys, "queries", "hits"]].merge(
        load_cells([b])[[*keys, "queries", "hits"]], on=keys, suffixes=("_a", "_b")
    )
    hits = [read_hits(path) if path.is_file() else {} for path in (hits_beside(a), hits_beside(b))]
    rows = []
    for row in both.itertuples(index=False):
        key = row.match, row.seconds
        p = paired_p(hits[0][key], hits[1][key]) if all(key in one for one in hits) else np.nan
        paired = not np.isnan(p)
        rates = 100 * row.hits_a / row.queries_a, 100 * row.hits_b / row.queries_b
        rows.append(
            {
                **{"run": row.run, "index": row.index, "epoch": row.epoch, "match": row.match, "query_s": row.seconds},
                **{"queries_a": row.queries_a, "queries_b": row.queries_b, "a_pct": rates[0], "b_pct": rates[1]},
                "difference": rates[1] - rates[0],
                "p": p if paired else unpaired_p(row.hits_a, row.queries_a, row.hits_b, row.queries_b),
                "test": "paired" if paired else "unpaired",
            }
        )
    return pd.DataFrame(rows)


def remarks(a: Path, b: Path, cells_a: dict, cells_b: dict, table: pd.DataFrame):
    """Sentences on what the two do not share."""
    for folder, only in ((a, set(cells_a) - set(cells_b)), (b, set(cells_b) - set(cells_a))):
        if only:
            yield f"Only in {folder}: {len(only)} cells, the first is {min(only)}."
    if table["test"].eq("unpaired").any():
        yield "Where queries differ or per-query tables are missing, the test is unpaired and sees less."
