"""Packing of a split: its WAV files, one behind the other in one int16 array, and the clip table with their positions."""

import hashlib
import io
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
from tqdm import tqdm

from nafp.audio.segments import SEGMENT
from nafp.audio.wav import opened
from nafp.disk import check_free_space
from nafp.errors import UserError
from nafp.files import atomic_write, disk_full_named
from nafp.walk import unescaped_path

KEPT_COLUMNS = ("sha256", "song", "song_start_s")  # columns of a manifest that the table of clips keeps
BLOCK = 2**20  # samples in memory at a time, per thread
GROUP_BYTES = 2**26  # packed bytes after which progress is saved


@dataclass(frozen=True)
class PackedLayout:
    """Positions of all clips: ``starts`` (clips,) first samples in the array, ``total`` samples, ``header`` of the file."""

    table: pd.DataFrame
    starts: np.ndarray
    total: int
    header: bytes

    @classmethod
    def of(cls, clips: pd.DataFrame) -> "PackedLayout":
        """For rows of a manifest: path, samples, maybe KEPT_COLUMNS. A clip shorter than a segment is padded with zeros."""
        samples = clips["samples"].to_numpy(dtype=np.int64)
        ends = np.cumsum(np.maximum(samples, SEGMENT))
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        table = pd.DataFrame({"path": clips["path"].to_numpy(), "start": starts, "samples": samples})
        table = table.assign(**{name: clips[name].to_numpy() for name in KEPT_COLUMNS if name in clips})
        header = io.BytesIO()
        shape = {"descr": "<i2", "fortran_order": False, "shape": (int(ends[-1]),)}
        np.lib.format.write_array_header_1_0(header, shape)
        return cls(table, starts, int(ends[-1]), header.getvalue())

    @property
    def bytes(self) -> int:
        """Size of the array's file."""
        return len(self.header) + 2 * self.total

    def groups(self) -> list[range]:
        """Runs of clips of about GROUP_BYTES, at least one clip each."""
        number = 2 * self.starts // GROUP_BYTES
        cuts = [0, *(np.flatnonzero(np.diff(number)) + 1), len(number)]
        return [range(a, b) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def pack(root: Path, clips: pd.DataFrame, array_path: Path, table_path: Path, threads: int = 1) -> None:
    """Write the clips (rows of the manifest) one behind the other as int16, and the table of their positions.

    The table's columns: path, start (index of the first sample in the array), samples (of the clip), and what the manifest has
    of KEPT_COLUMNS. Each thread holds one block, so memory does not grow with the split. A killed job is continued by the
    next one. Raises UserError if there is no room, or a file changed since it was checked; nothing is left behind then.
    """
    layout = PackedLayout.of(clips)
    part = array_path.with_name(f"{array_path.name}.part")
    progress = Progress(part.with_name(f"{part.name}.progress"), layout, f"{root.absolute()}\n{clips.to_csv()}")
    waiting = progress.waiting(part)
    written = sum(2 * int(layout.table["samples"].iloc[group.start : group.stop].sum()) for group in waiting)
    check_free_space({array_path.parent: written}, f"packing {array_path.name}")
    array_path.parent.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    try:
        with disk_full_named(array_path):
            write_groups(root, layout, waiting, part, progress, threads)
        with atomic_write(table_path) as table_part:
            layout.table.to_csv(table_part, index=False)
        os.replace(part, array_path)
    except Exception:
        part.unlink(missing_ok=True)
        raise
    finally:
        if not part.exists():
            progress.path.unlink(missing_ok=True)
    seconds = time.perf_counter() - begin
    print(f"{len(clips):,} clips, {written / 1e6:,.0f} MB in {seconds:.1f} s: {written / 1e6 / seconds:,.0f} MB/s")


def boot_id() -> str:
    """Identifies the current boot: what a killed process wrote is on disk, or will be, as long as the system runs."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


class Progress:
    """Record of the groups that are in the partial array: a line each, after a line that identifies the layout.

    After a power cut the record could be ahead of the disk, so packing starts again after a reboot.
    """

    def __init__(self, path: Path, layout: PackedLayout, inputs: str):
        """``inputs``: text of everything that the array depends on."""
        self.path, self.layout = path, layout
        self.name = hashlib.sha256(f"{boot_id()}\n{inputs}".encode()).hexdigest()
        self._lock = threading.Lock()

    def waiting(self, part: Path) -> list[range]:
        """Groups still to be written; all, if the partial array is of another layout."""
        groups = self.layout.groups()
        lines = self.path.read_text(encoding="utf-8").split("\n")[:-1] if self.path.exists() else []
        if lines[:1] == [self.name] and part.exists() and part.stat().st_size == self.layout.bytes:
            done = set(map(int, lines[1:]))
            print(f"{part.name}: {len(done)} of {len(groups)} parts are packed already")
            return [group for group in groups if group.start not in done]
        self.path.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        return groups

    def begin(self) -> None:
        """Start the record, once the partial array has its size."""
        if not self.path.exists():
            self.path.write_text(f"{self.name}\n", encoding="utf-8")

    def add(self, group: range) -> None:
        """Record that a group is on disk."""
        with self._lock, open(self.path, "a", encoding="utf-8") as file:
            file.write(f"{group.start}\n")


def write_groups(
    root: Path, layout: PackedLayout, groups: Sequence[range], part: Path, progress: Progress, threads: int
) -> None:
    """Write groups into the partial array, ``threads`` at a time."""
    file = os.open(part, os.O_RDWR | os.O_CREAT, 0o666)
    bar = tqdm(total=layout.bytes, unit="B", unit_scale=True, desc=f"packing {part.name.removesuffix('.npy.part')}")
    try:
        os.ftruncate(file, layout.bytes)  # zeros, until they are written
        write_at(file, layout.header, 0)
        progress.begin()
        bar.update(layout.bytes - sum(bytes_of(layout, group) for group in groups))

        def one(group: range) -> None:
            for i in group:
                path, start, samples = layout.table.iloc[i, :3]
                copy_clip(root / unescaped_path(path), samples, file, len(layout.header) + 2 * start)
            progress.add(group)
            bar.update(bytes_of(layout, group))

        pool = ThreadPoolExecutor(threads)
        try:
            for _ in pool.map(one, groups):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
    finally:
        bar.close()
        os.close(file)


def bytes_of(layout: PackedLayout, group: range) -> int:
    """Packed size of a group."""
    end = layout.starts[group.stop] if group.stop < len(layout.starts) else layout.total
    return 2 * int(end - layout.starts[group.start])


def write_at(file: int, data: bytes | memoryview, offset: int) -> int:
    """Write all of ``data`` to a place in an open file, however little the system writes at a time; returns its end."""
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, offset)
        offset, left = offset + written, left[written:]
    return offset


def copy_clip(path: Path, samples: int, file: int, offset: int) -> None:
    """Copy a mono WAV file's samples to a place in an open file, block by block; UserError if their number differs."""
    changed = f"{path}: changed since it was checked; delete manifest.csv and rerun"
    try:
        with opened(path) as source:
            if source.frames != samples:
                raise UserError(changed)
            for block in source.blocks(BLOCK, dtype="int16"):
                offset = write_at(file, block.astype("<i2", copy=False).view(np.uint8).data, offset)
    except sf.LibsndfileError as error:
        raise UserError(f"{changed} ({error.error_string})") from error
