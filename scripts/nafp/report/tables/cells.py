"""The measurements behind the scoreboard: one JSON per cell, read into one long table.

A *cell* is what one method answered to one query set: a run searched with one index type, or a method that needs no index. Hit
rates are top-1, in percent, unless a column says otherwise; query lengths are in seconds.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nafp.errors import UserError
from nafp.evaluation import openset
from nafp.evaluation.cell import Cell, table_beside
from nafp.evaluation.metrics import METRICS
from nafp.evaluation.song_hits import read_hits
from nafp.evaluation.statistics import clustered_interval
from nafp.grid import AXES, FILES, CellKey
from nafp.methods import Trained

_CELL = ["dataset", "run", "query_set", "epoch", "index", "protocol", "test_ids", "index_options"]
_CELL += ["songs", "queries", "database_segments", "generated_segments", "fingerprints", "seconds", "match", "hits"]
_OF_INDEX = ["build_s", "index_bytes", "memory_bytes", "ms_per_segment"]
_COSTS = ["mrr", "ms_per_query", *_OF_INDEX, "recall_pct"]
_COLUMNS = [*_CELL, "hit_rate_pct", *_COSTS, "answers"]
MEASURED = {"run", "queries", "hits", "hit_rate_pct", *_COSTS, "answers"}
OF_POOL = {"seeds", "runs", "seed_sd"}  # columns that `pool_seeds` adds
# columns that are not fields of a configuration
NO_FIELDS = {
    "match",
    "seconds",
    "database_segments",
    "generated_segments",
    "fingerprints",
    "songs",
    "test_ids",
    "index_options",
}
OF_QUERIES = ("query_set", "snr_db")  # fields in which query sets differ


def load_cells(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read cell files into the long table of `table_of_cells`."""
    return table_of_cells(read_cells(paths))


def read_cells(paths: Iterable[str | Path]) -> dict[Path, Cell]:
    """File -> the cell in it, in the order of ``paths``; UserError for a damaged file, ValueError for a malformed cell."""
    return {Path(path): Cell.read(path) for path in paths}


def table_of_cells(cells: Mapping[Path, Cell]) -> pd.DataFrame:
    """Cells, by their files, as a long table: one row per cell x query length x match, in their order.

    Columns: dataset, run, the run's fields (aug, bsz, ...), query_set, snr_db if a cell has it (the level of its query
    set's noise counts as one of its fields), epoch, index, protocol, test_ids, index_options (as JSON), songs and queries
    (their numbers), database_segments, generated_segments (of them), fingerprints (of the database), seconds, match
    (of METRICS), hits, hit_rate_pct, mrr (mean reciprocal rank of the right segment, on the rows of exact hits),
    ms_per_query, build_s (seconds), index_bytes (on disk), memory_bytes, ms_per_segment, recall_pct (nearest
    neighbours found, percent), answers (the per-query table beside the cell). Raises ValueError for a cell that is given twice.
    """
    rows, seen = [], {}
    for path, cell in cells.items():
        identity = (cell.dataset, cell.run, cell.epoch, cell.index, cell.protocol, cell.query_set)
        if identity in seen:
            raise ValueError(f"{path}: the same cell as {seen[identity]}; seeds would be counted twice")
        seen[identity] = path
        rows += _cell_rows(cell, path)
    if not rows:
        return pd.DataFrame(columns=_COLUMNS)
    table = pd.DataFrame(rows)
    fields = [name for name in table.columns if name not in _COLUMNS]
    table["hit_rate_pct"] = 100 * table["hits"] / table["queries"]
    return table[[*_CELL[:2], *fields, *_COLUMNS[2:]]]


def _cell_rows(cell: Cell, path: str | Path) -> list[dict[str, Any]]:
    clash = set(cell.fields) & set(_COLUMNS)
    if clash:
        raise ValueError(f"{path}: a run field may not be called {', '.join(sorted(clash))}")
    times, ranks = (values or [np.nan] * len(cell.seconds) for values in (cell.ms_per_query, cell.mrr))
    matches = {metric.column: match for match, metric in METRICS.items()}
    shared = {
        "dataset": cell.dataset,
        "run": cell.run,
        **cell.fields,
        "query_set": cell.query_set or FILES,
        **({"snr_db": cell.snr_db} if cell.query_set else {}),
        **{name: getattr(cell, name) for name in ("epoch", "index", "protocol", "test_ids", "songs", "queries")},
        "index_options": json.dumps(cell.index_options, sort_keys=True),
        **{name: np.nan if getattr(cell, name) is None else getattr(cell, name) for name in _OF_INDEX},
        "recall_pct": 100 * cell.recall["nearest"] if cell.recall else np.nan,
        "database_segments": sum(cell.database.values()),
        "generated_segments": cell.database.get("generated", 0),
        "fingerprints": cell.fingerprints or sum(cell.database.values()),
        "answers": table_beside(path),
    }
    return [
        {
            **shared,
            "match": matches[column],
            "seconds": s,
            "hits": hit,
            "ms_per_query": ms,
            "mrr": rank if matches[column] == "exact" else np.nan,
        }
        for column, hits in cell.hits.items()
        if column in matches  # else of a metric that there was once
        for s, hit, ms, rank in zip(cell.seconds, hits, times, ranks, strict=True)
    ]


def keys_of(cells: pd.DataFrame) -> list[CellKey]:
    """The cells of `load_cells`, in the order of its files."""
    return list(map(CellKey._make, cells[list(CellKey._fields)].drop_duplicates().itertuples(index=False, name=None)))


def pool_seeds(cells: pd.DataFrame, keep_seeds: bool = False) -> pd.DataFrame:
    """Pool rows of `load_cells` that differ only in the seed: hits and queries are summed, times and sizes averaged.

    Adds `seeds`, the number pooled, `runs`, their names, and `seed_sd`, the standard deviation of their rates; `answers` are all
    of their per-query tables.
    """
    if cells.empty:
        return cells.assign(seeds=pd.Series(dtype="Int64"), runs=None, seed_sd=np.nan)
    dropped = MEASURED if keep_seeds else MEASURED | {"seed"}
    keys = [name for name in cells.columns if name not in dropped]
    group = cells.groupby(keys, sort=False, dropna=False).ngroup()
    groups = cells[["hits", "queries", "hit_rate_pct", *_COSTS]].groupby(group.to_numpy())
    runs, answers = (
        [tuple(values[rows]) for rows in groups.indices.values()]
        for values in (cells["run"].to_numpy(object), cells["answers"].to_numpy(object))
    )
    pooled = (
        cells.loc[~group.duplicated(), keys]
        .reset_index(drop=True)
        .assign(
            **groups[["hits", "queries"]].sum(),
            seeds=[len(set(names)) for names in runs],
            runs=runs,
            answers=answers,
            seed_sd=groups["hit_rate_pct"].std(),
            **groups[list(_COSTS)].mean(),
        )
    )
    return pooled.assign(hit_rate_pct=100 * pooled["hits"] / pooled["queries"])


def with_intervals(pooled: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Rows of `pool_seeds` with low_pct and high_pct over songs and seeds (`clustered_interval`), from the answers.

    ``level``: of the intervals. Raises UserError for a per-query table that is damaged or missing, or whose seeds were asked
    different queries.
    """
    open_sets = set(pooled.loc[pooled["match"] == "open set", "answers"])
    bounds = {tables: _intervals(tables, tables in open_sets, level) for tables in pooled["answers"].unique()}
    numbers = zip(pooled["answers"], pooled["match"], pooled["seconds"], strict=True)
    found = [bounds[tables][match, seconds] for tables, match, seconds in numbers]
    low, high = 100 * np.reshape(found, (-1, 2)).T
    return pooled.assign(low_pct=low, high_pct=high)


def _intervals(tables: Sequence[Path], open_set: bool, level: float) -> dict[tuple[str, float], tuple[float, float]]:
    """(match, seconds) -> interval (0..1) of the mean of seeds with these per-query tables."""
    seeds = [read_hits(path) for path in tables]
    for path, one in zip(tables, seeds, strict=True):
        if (one.asked, one.seconds) != (seeds[0].asked, seeds[0].seconds):
            raise UserError(
                f"{path} and {tables[0]} belong to seeds of one configuration, but were asked different queries; "
                "delete both cells and run the same command again"
            )
    bounds = clustered_interval(np.stack([one.hits for one in seeds], axis=-2), seeds[0].queries, level)
    if open_set:
        low, high = (one[list(METRICS).index("open set")] for one in bounds)
        low[:], high[:] = openset.intervals(tables, level).T
    numbers = product(METRICS, seeds[0].seconds)
    return dict(zip(numbers, zip(*(one.ravel().tolist() for one in bounds), strict=True), strict=True))


def shown_fields(cells: pd.DataFrame, varied: Sequence[str] = ()) -> list[str]:
    """Names of the columns that tell the rows of a study apart: the varied ones, then all that happen to differ."""
    candidates = [name for name in cells.columns if name not in MEASURED | OF_POOL | NO_FIELDS | {"seed"}]
    differing = [name for name in candidates if differs(cells, name)]
    return [name for name in dict.fromkeys([*varied, *differing]) if name in cells.columns]


def differs(cells: pd.DataFrame, name: str) -> bool:
    """Whether rows differ in a field; in those of trained runs, and in the index, only rows that have them count."""
    if name in (*Trained.fields, "epoch"):
        cells = cells[cells.reindex(columns=AXES).isna().all(axis=1)]
    elif name == "index":
        cells = cells[cells["index"].ne("")]
    return cells[name].nunique(dropna=False) > 1


def label(row: Mapping[str, Any], fields: Iterable[str]) -> str:
    """Short name of a configuration: `label(row, ["aug", "bsz"])` is "aug full, N=120"."""
    symbols = {
        "pretrained": "",
        "external": "",
        "method": "",
        "bsz": "N=",
        "dim": "d=",
        "index": "",
        "loss": "",
        "query_set": "queries ",
        "snr_db": "SNR ",
    }
    parts = [(name, plain(row[name])) for name in fields if not (pd.isna(row[name]) or row[name] == "")]
    return ", ".join(f"{symbols.get(name, f'{name} ')}{value}{' dB' * (name == 'snr_db')}" for name, value in parts)


def run_labels(cells: pd.DataFrame) -> dict[str, str]:
    """Run -> its short name among the runs of these cells; the whole one where nothing tells them apart."""
    fields = [name for name in shown_fields(cells) if name not in ("index", *OF_QUERIES)]
    fields += ["seed"] if "seed" in cells.columns and cells["seed"].nunique() > 1 and "seed" not in fields else []
    runs = cells.drop_duplicates("run").to_dict("records")
    return {row["run"]: label(row, fields) or row["run"] for row in runs}


def plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float, np.number)) and abs(value) < 1e6 else str(value)
