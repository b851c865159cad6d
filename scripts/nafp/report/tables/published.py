"""Numbers that others reported: which ones belong in a table, and which are comparable with ours."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nafp.evaluation.starts import ICASSP_IDS_SHA256
from nafp.grid import FILES
from nafp.search.rates import rates_of_index

PAPER, RERUN = "paper", "users' re-run"
# published database -> name of the data set, and its segments: the paper's 56 M became 54 M in the original code's data
DATABASES = {"test-dummy-db-100k-full": ("full", 56e6), "test-dummy-db 10k-30s": ("mini", 10_500 * 59)}
CODES = 64  # codes a fingerprint in the paper's index (3.5)
_SIZE_TOLERANCE = 0.05  # relative difference in size up to which databases count as the same
_NO_AUGMENTATION, _NOW_PLAYING = "nafp (no augmentation)", "now-playing (modified for 1 s unit)"


def load_published(path: str | Path) -> pd.DataFrame:
    """Read the published numbers: columns as in `published/README.md`, query_s in seconds, hit rates in percent.

    Adds origin, "paper" or "users' re-run".
    """
    rows = pd.read_csv(path, dtype={"batch_size": "Int64", "dim": "Int64", "note": str})
    return rows.assign(origin=rows["source"].str.startswith("arXiv").map({True: PAPER, False: RERUN}))


def _augmentation(rows: pd.DataFrame) -> pd.Series:
    best = rows["method"].eq("nafp") & rows["batch_size"].eq(640) & rows["dim"].eq(128)
    return rows["table"].eq("Table 3") & (best | rows["method"].eq(_NO_AUGMENTATION))


def _batch(rows: pd.DataFrame) -> pd.Series:
    return rows["table"].eq("Table 3") & rows["method"].eq("nafp") & rows["dim"].eq(128)


OF_STUDY: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "table3": lambda rows: rows["table"].eq("Table 3") | rows["origin"].eq(RERUN),
    "table4": lambda rows: rows["table"].eq("Table 4"),
    "song_level": lambda rows: rows["table"].eq("Section 4.1"),
    "methods": lambda rows: rows["table"].eq("Section 4.1"),  # against dejavu, a method of landmarks
    "ablation_augmentation": _augmentation,
    "ablation_batch": _batch,
}


def of_study(published: pd.DataFrame, study: str) -> pd.DataFrame:
    """The published rows that the table of a study prints; none for most."""
    choose = OF_STUDY.get(study)
    return published[choose(published)] if choose else published.iloc[:0]


def why_not_comparable(database: str, cells: pd.DataFrame) -> str:
    """Why numbers of a published database compare with none of our cells, in a few words; nothing if they do with one.

    ``cells``: rows with dataset, database_segments, generated_segments, query_set, protocol, test_ids, index and index_options
    (`cells.load_cells`).
    """
    columns = ["dataset", "database_segments", "generated_segments", "query_set", "protocol", "test_ids", "index"]
    ours = cells.reindex(columns=[*columns, "index_options", "dim"]).drop_duplicates().to_dict("records")
    different = [[words for words, is_same in SAME.items() if not is_same(database, row)] for row in ours]
    closest = min(different, key=len, default=["database"])
    if "database" in closest:
        return f"other database, {database}"
    listed = [*closest[:-2], " and ".join(closest[-2:])]
    return f"other {', '.join(listed)}" if closest else ""


def _same_database(database: str, row: Mapping[str, Any]) -> bool:
    if row["generated_segments"] > 0:  # distractors that no song has
        return False
    for published, (name, size) in DATABASES.items():
        if database.startswith(published):
            return row["dataset"] == name and abs(row["database_segments"] - size) <= _SIZE_TOLERANCE * size
    return False


def _same_index(database: str, row: Mapping[str, Any]) -> bool:
    """IVF-PQ as in the paper (3.5) or the original code; with fewer than 64 dimensions, one code a dimension."""
    options = json.loads(row["index_options"]) or {}
    kind = options.get("type", row["index"]), options.get("nlist"), options.get("nprobe"), options.get("nbits")
    codes, dim = options.get("m", 0), row["dim"] if pd.notna(row["dim"]) else CODES
    return (
        rates_of_index(options) == [1]
        and kind in {("ivfpq", nlist, 40, 8) for nlist in (200, 256)}
        and min(codes, dim) == min(CODES, dim)
    )


SAME: dict[str, Callable[[str, Mapping[str, Any]], bool]] = {  # condition of a comparison -> whether it holds
    "database": _same_database,
    "queries": lambda database, row: row["query_set"] == FILES,
    "protocol": lambda database, row: row["protocol"] == "release",
    "test sequences": lambda database, row: row["test_ids"] == f"sha256:{ICASSP_IDS_SHA256}",
    "index": _same_index,
}


def counterparts(published: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    """Origin -> the published hit rate (percent) of one of our configurations, match and query length.

    Only of the same augmentation chain and loss, both by name, N and d, and of the same database, queries, test sequences,
    protocol and index (SAME): an empty dict otherwise. A cell does not say how its features, encoder or training are set, so
    these may differ. `row`: of `cells.pool_seeds`.
    """
    row = {"dim": None, "aug": None} | dict(row)
    methods = {("none", "ntxent"): _NO_AUGMENTATION, ("full", "triplet"): _NOW_PLAYING, ("full", "ntxent"): "nafp"}
    method = methods.get((row["aug"], row.get("loss")))
    databases = [name for name in published["database"].unique() if all(same(name, row) for same in SAME.values())]
    if not databases or not method:
        return {}
    published = published[published["database"].isin(databases)]
    same = published["method"].replace("nafp (released code)", "nafp").eq(method)
    same &= published["batch_size"].eq(row.get("bsz")).fillna(method == _NO_AUGMENTATION)
    same &= published["dim"].eq(row["dim"]) & published["match"].eq(row["match"])
    same &= published["query_s"].eq(row["seconds"])
    found = published[same.fillna(False).astype(bool)]
    return dict(zip(found["origin"], found["top1_hit_rate_pct"], strict=True))
