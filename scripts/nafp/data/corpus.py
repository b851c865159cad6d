"""A data set in the paper's layout: found, checked, and packed into one int16 array and a clip table per split."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from nafp.data.audio import check_wav, read_wav
from nafp.data.layout import HOP, MUSIC, QUERY_OF, SAMPLE_RATE, SEGMENT, SPLITS
from nafp.errors import UserError
from nafp.files import written_whole

# ---------------------------------------------------------------- finding and checking


def find_files(root: Path) -> pd.DataFrame:
    """Every WAV file of every split under ``root``, in a fixed order: columns split, path (relative to root)."""
    rows = [
        (split, path.relative_to(root).as_posix())
        for split, folder in SPLITS.items()
        for path in sorted((root / folder).rglob("*.wav"))
    ]
    return pd.DataFrame(rows, columns=["split", "path"])


def make_manifest(root: Path, threads: int = 8) -> pd.DataFrame:
    """Check every file's header: columns split, path, bytes, samples, seconds, problem ('' if none)."""
    manifest = find_files(root)
    paths = [root / path for path in manifest["path"]]
    with ThreadPoolExecutor(threads) as pool:
        checked = list(tqdm(pool.map(check_wav, paths), total=len(paths), desc="checking", unit="file"))
    manifest["bytes"] = [path.stat().st_size for path in paths]
    manifest["samples"] = [info.samples for info in checked]
    manifest["seconds"] = manifest["samples"] / SAMPLE_RATE
    manifest["problem"] = [info.problem for info in checked]
    return manifest


def find_problems(manifest: pd.DataFrame, root: Path) -> list[str]:
    """All that is wrong with a data set, one sentence each: bad files, empty music splits, queries without a song."""
    bad = manifest[manifest["problem"] != ""]
    problems = [f"{root / row.path}: {row.problem}" for row in bad.itertuples()]
    present = set(manifest["split"])
    problems += [f"{root / SPLITS[split]}: no WAV files (split {split!r})" for split in MUSIC if split not in present]
    for db, query in QUERY_OF.items():
        if {db, query} <= present:
            problems += unpaired(manifest, root, db, query)
    return problems


def unpaired(manifest: pd.DataFrame, root: Path, db: str, query: str) -> list[str]:
    """A query clip must have its song's name and length, because segment i of one answers segment i of the other."""
    lengths = {
        split: {Path(r.path).relative_to(SPLITS[split]).as_posix(): r.samples for r in rows.itertuples()}
        for split, rows in manifest.groupby("split")
        if split in (db, query)
    }
    problems = []
    for name in sorted(lengths[db].keys() | lengths[query].keys()):
        in_db, in_query = lengths[db].get(name), lengths[query].get(name)
        if in_db is None or in_query is None:
            has, lacks = (query, db) if in_db is None else (db, query)
            problems.append(f"{root / SPLITS[has] / name}: has no counterpart {root / SPLITS[lacks] / name}")
        elif in_db != in_query:
            problems.append(f"{root / SPLITS[query] / name}: {in_query} samples, but its song has {in_db}")
    return problems


# ---------------------------------------------------------------- packing


def pack(root: Path, clips: pd.DataFrame, array_path: Path, table_path: Path) -> None:
    """Write the clips (rows of the manifest) one behind the other as int16, and the table that finds them.

    The table's columns: path, start (index of the first sample in the array), samples (of the clip). A clip shorter
    than a segment is followed by zeros, so that every clip fills one segment at least. Clip by clip: memory does not
    grow with the split. Raises UserError when there is no room or a file changed since it was checked; nothing is left
    behind then.
    """
    stored = np.maximum(clips["samples"].to_numpy(), SEGMENT)
    starts = np.concatenate([[0], np.cumsum(stored)])
    array_path.parent.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * int(starts[-1]), shutil.disk_usage(array_path.parent).free
    if needed > free:
        raise UserError(f"{array_path}: needs {needed / 1e9:.2f} GB, but only {free / 1e9:.2f} GB are free there")
    table = pd.DataFrame({"path": clips["path"], "start": starts[:-1], "samples": clips["samples"]})
    with written_whole(array_path) as array_part, written_whole(table_path) as table_part:
        with open(array_part, "wb") as out:
            header = {"descr": "<i2", "fortran_order": False, "shape": (int(starts[-1]),)}
            np.lib.format.write_array_header_1_0(out, header)
            for row, length in zip(tqdm(clips.itertuples(), total=len(clips), unit="clip"), stored, strict=True):
                samples = read_wav(root / row.path)
                if len(samples) != row.samples:
                    raise UserError(f"{root / row.path}: changed since it was checked; delete manifest.csv and rerun")
                out.write(samples.astype("<i2").tobytes() + bytes(2 * (int(length) - len(samples))))
        table.to_csv(table_part, index=False)


def count_segments(samples: np.ndarray) -> np.ndarray:
    """Number of 1 s segments with a hop of 0.5 s; a shorter clip counts as one."""
    return np.maximum((np.asarray(samples) - SEGMENT) // HOP + 1, 1)


@dataclass(frozen=True)
class Segments:
    """The n segments of a split: (n,) arrays of int64.

    ``low`` and ``high``: how many samples a segment may move and still lie inside its clip, at most one hop.
    """

    clip: np.ndarray
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)


@dataclass(frozen=True)
class Split:
    """A packed split: ``audio`` (T,) int16, memory-mapped; ``clips`` with columns path, start, samples."""

    audio: np.ndarray
    clips: pd.DataFrame

    @classmethod
    def open(cls, array_path: Path | str) -> "Split":
        """Map the array (copy on write: the file is never changed) and read the table beside it."""
        array_path = Path(array_path)
        return cls(np.load(array_path, mmap_mode="c"), pd.read_csv(array_path.with_suffix(".csv")))

    @classmethod
    def read(cls, root: Path, split: str) -> "Split":
        """Read the WAV files of a small split into memory, without packing them first."""
        paths = sorted((root / SPLITS[split]).rglob("*.wav"))
        return cls.of_clips([read_wav(path) for path in paths], [path.relative_to(root).as_posix() for path in paths])

    @classmethod
    def of_clips(cls, clips: list[np.ndarray], names: list[str]) -> "Split":
        """(T,) int16 clips in memory, packed."""
        stored = [np.pad(clip, (0, max(SEGMENT - len(clip), 0))) for clip in clips]
        starts = np.concatenate([[0], np.cumsum([len(clip) for clip in stored])])
        table = pd.DataFrame({"path": names, "start": starts[:-1], "samples": [len(clip) for clip in clips]})
        return cls(np.concatenate(stored), table)

    @cached_property
    def segments(self) -> Segments:
        samples = self.clips["samples"].to_numpy()
        counts = count_segments(samples)
        clip = np.repeat(np.arange(len(counts)), counts)
        nth = np.arange(len(clip)) - np.repeat(np.cumsum(counts) - counts, counts)
        room = np.maximum(samples[clip] - SEGMENT, 0) - nth * HOP
        start = self.clips["start"].to_numpy()[clip] + nth * HOP
        return Segments(clip, start, -np.minimum(nth * HOP, HOP), np.minimum(room, HOP))
