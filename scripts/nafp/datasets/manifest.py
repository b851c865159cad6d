"""What a data set in the paper's layout holds, file by file, as a table; and the differences between two of them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.wav import check_wav
from nafp.datasets.layout import SPLITS, TIME_MAP
from nafp.errors import UserError, problem_of
from nafp.walk import escaped_path, files_below, is_dangling, is_wav, unescaped_path

DUMMIES = {"10k_30s": (10_000, 30), "100k_full": (100_000, None)}  # name -> songs, seconds of each (None: any)


def find_files(root: Path) -> pd.DataFrame:
    """Every WAV file of every split under ``root``, in a fixed order: columns split, path (relative to root, as text), problem.

    ``problem``: '' or why a folder cannot be read, or where a link leads to nothing; those have a row each.
    """
    rows = []
    for split, folder in SPLITS.items():
        lost: dict[str, UserError] = {}
        files = files_below(root / folder, is_wav, dangling=True, unreadable=lost)
        if not os.path.lexists(root / folder):
            lost.clear()  # a split without files
        found = dict.fromkeys(map(str, files), "") | {path: problem_of(error, path) for path, error in lost.items()}
        rows += [
            (split, escaped_path(path.relative_to(root).as_posix()), found[str(path)])
            for path in sorted(map(Path, found))
        ]
    return pd.DataFrame(rows, columns=["split", "path", "problem"])


def make_manifest(root: Path, threads: int = 8) -> pd.DataFrame:
    """Check every file's header: columns split, path, bytes, samples, seconds, problem ('' if none)."""
    found = find_files(root)
    manifest = found[["split", "path"]].copy()
    paths = [root / unescaped_path(path) for path in manifest["path"]]
    with ThreadPoolExecutor(threads) as pool:
        checked = list(tqdm(pool.map(check_wav, paths), total=len(paths), desc="checking", unit="file"))
    manifest["bytes"] = [
        0 if problem or is_dangling(path) else path.stat().st_size
        for path, problem in zip(paths, found["problem"], strict=True)
    ]
    manifest["samples"] = [info.samples for info in checked]
    manifest["seconds"] = manifest["samples"] / SAMPLE_RATE
    manifest["problem"] = [lost or info.problem for lost, info in zip(found["problem"], checked, strict=True)]
    return manifest


def with_digests(manifest: pd.DataFrame, digests: pd.DataFrame) -> pd.DataFrame:
    """The manifest with ``sha256``, and with the files that are in no split at its end (their split is empty)."""
    known = digests.set_index("path")
    rest = digests.loc[~digests["path"].isin(manifest["path"]), ["path", "bytes", "sha256"]]
    ours = manifest.assign(sha256=known["sha256"].reindex(manifest["path"]).to_numpy())
    whole = pd.concat([ours, rest], ignore_index=True)
    whole["samples"] = whole["samples"].astype("Int64")
    return whole.fillna({"split": "", "problem": ""})


def read_time_map(root: Path) -> pd.DataFrame:
    """Of test queries that are not whole songs: song (path below ``root``) and song_start_s (NaN if unknown), by the query's
    path. UserError if it cannot be read."""
    path = root / TIME_MAP
    try:
        places = pd.read_csv(path, keep_default_na=False, dtype={"query": str, "song": str})
        places["song_start_s"] = pd.to_numeric(places["song_start_s"].replace("", None)).astype(float)
        if places["query"].duplicated().any():
            raise ValueError("a query is there twice")
        return places.set_index("query")[["song", "song_start_s"]]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: cannot be read as a table of query, song and song_start_s ({' '.join(str(error).split())})"
        ) from error


def with_places(clips: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Rows of a manifest, test queries, with their songs and places if the data set has a time map."""
    return clips.join(read_time_map(root), on="path") if (root / TIME_MAP).is_file() else clips


def select_dummies(manifest: pd.DataFrame, dummy: str | int) -> pd.DataFrame:
    """The manifest with the first songs of the dummy split only: ``all``, a name of DUMMIES, or how many."""
    count = DUMMIES[dummy][0] if dummy in DUMMIES else dummy
    if count == "all":
        return manifest
    is_dummy = manifest["split"] == "dummy"
    return manifest[~is_dummy | (is_dummy.cumsum() <= count)]


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest; UserError if the file is not one."""
    try:
        manifest = pd.read_csv(path, keep_default_na=False, dtype={"path": str, "sha256": str, "bytes": "int64"})
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a manifest ({error})") from error
    if missing := {"path", "bytes", "sha256"} - set(manifest.columns):
        raise UserError(f"{path}: is not a manifest, it has no column {', '.join(sorted(missing))}")
    return manifest


def changed_files(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Files that differ between two manifests: columns path, difference (missing, added, changed), bytes of both (Int64)."""
    both = one[["path", "bytes", "sha256"]].merge(
        other[["path", "bytes", "sha256"]], on="path", how="outer", suffixes=("_one", "_other"), indicator=True
    )
    kind = both["_merge"].map({"left_only": "missing", "right_only": "added", "both": "changed"}).astype(str)
    differs = (both["_merge"] != "both") | (both["sha256_one"] != both["sha256_other"])
    found = both.assign(difference=kind)[differs].sort_values("path", ignore_index=True)
    sizes = {f"bytes_{side}": found[f"bytes_{side}"].astype("Int64") for side in ("one", "other")}
    return found.assign(**sizes)[["path", "difference", "bytes_one", "bytes_other"]]


def differences(manifest: pd.DataFrame, expected: Path) -> list[str]:
    """Differences of a copy from the manifest that it should have, one sentence a file."""
    says = {"missing": "is missing", "changed": "is not the file of {}"}
    found = changed_files(read_manifest(expected), manifest)
    found = found[found["difference"] != "added"]  # additional files, such as a README, do no harm
    return [f"{row.path}: {says[row.difference].format(expected)}" for row in found.itertuples()]
