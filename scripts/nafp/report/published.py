"""The numbers that others reported: which belong into a table, and which compare with ours."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nafp.data.layout import FILES

PAPER, RERUN = "paper", "users' re-run"
# published database -> name of the data set, and its segments: the paper's 56 M became 54 M in the release
DATABASES = {"test-dummy-db-100k-full": ("full", 56e6), "test-dummy-db 10k-30s": ("mini", 10_500 * 59)}
_SIZE_TOLERANCE = 0.05  # by which a database may differ in size and still count as the same
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
    "ablation_augmentation": _augmentation,
    "ablation_batch": _batch,
}


def of_study(published: pd.DataFrame, study: str) -> pd.DataFrame:
    """The published rows that the table of a study prints; none for most."""
    choose = OF_STUDY.get(study)
    return published[choose(published)] if choose else published.iloc[:0]


def compares(database: str, dataset: str | None, segments: float) -> bool:
    """Whether numbers of a published database compare with those of a data set of so many segments."""
    for published, (name, size) in DATABASES.items():
        if database.startswith(published):
            return dataset == name and abs(segments - size) <= _SIZE_TOLERANCE * size
    return False


def counterparts(published: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    """Origin -> the published hit rate (percent) of one of our configurations, match and query length.

    Only where database and queries are the same: an empty dict otherwise. `row`: a row of `cells.pool_seeds`.
    """
    databases = published["database"].unique()
    databases = [name for name in databases if compares(name, row["dataset"], row["database_segments"])]
    if not databases or row.get("query_set", FILES) != FILES:
        return {}
    published = published[published["database"].isin(databases)]
    method = _NO_AUGMENTATION if row.get("aug") == "none" else "nafp"
    method = _NOW_PLAYING if row.get("loss") == "triplet" else method
    same = published["method"].replace("nafp (released code)", "nafp").eq(method)
    same &= published["batch_size"].eq(row.get("bsz")).fillna(method == _NO_AUGMENTATION)
    same &= published["dim"].eq(row.get("dim")) & published["match"].eq(row["match"])
    same &= published["query_s"].eq(row["seconds"])
    found = published[same.fillna(False).astype(bool)]
    return dict(zip(found["origin"], found["top1_hit_rate_pct"], strict=True))
