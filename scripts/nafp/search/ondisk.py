"""Inverted lists in one file on disk, filled chunk by chunk: memory for one chunk is enough, and a killed build goes on.

Each chunk of the database is encoded into a file of its own, sorted by list; when all are there, they are joined list by list.
The trained index and the chunks stay in a folder beside the index until it is complete. They are used again if the
options, the seed and the very fingerprints are the same.
"""

import ctypes
import json
import mmap
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from tqdm import tqdm

from nafp.files import atomic_write
from nafp.search.vectors import Database

LISTS_FILE = "lists.bin"
CHUNK = 2**18  # vectors encoded or added at a time, so that a memory-mapped database need not fit into memory
JOINED_BYTES = 2**26  # bytes of the lists that are joined at a time


@dataclass(frozen=True)
class Unfinished:
    """The folder of a build that is not complete: files, each with a note of what it was made of and what else is known."""

    folder: Path

    def facts(self, name: str, made_of: Any) -> dict | None:
        """What is known of a file; None if it is not there as it was written, or was made of something else."""
        try:
            note = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            whole = (self.folder / name).stat().st_size == note["bytes"]
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        return note["facts"] if whole and note["made_of"] == made_of else None

    def keep(self, name: str, made_of: Any, write: Callable[[Path], None], **facts: Any) -> None:
        """Write a file, and then its note."""
        (self.folder / f"{name}.json").unlink(missing_ok=True)
        with atomic_write(self.folder / name) as part:
            write(part)
        with atomic_write(self.folder / f"{name}.json") as part:
            note = {"made_of": made_of, "bytes": (self.folder / name).stat().st_size, "facts": facts}
            part.write_text(json.dumps(note), encoding="utf-8")

    def clear(self) -> None:
        """Remove it all."""
        shutil.rmtree(self.folder, ignore_errors=True)


def trained_once(
    unfinished: Unfinished, asked: str, sample: np.ndarray, train: Callable[[], tuple[faiss.Index, int | None]]
) -> tuple[faiss.Index, int | None]:
    """What ``train`` returns, an empty index and the GPU that trained it: of an unfinished build that asked for the same."""
    name, made_of = "trained.faiss", [asked, zlib.crc32(sample)]
    if (facts := unfinished.facts(name, made_of)) is None:
        index, gpu = train()
        facts = {"gpu": gpu}
        unfinished.keep(name, made_of, lambda path: faiss.write_index(index, str(path)), **facts)
    return faiss.read_index(str(unfinished.folder / name)), facts["gpu"]


def fill_lists(index: faiss.IndexIVF, database: Database, unfinished: Unfinished, folder: Path) -> None:
    """Add a database to an empty trained index; its lists become ``LISTS_FILE`` in the folder."""
    trained, number = zlib.crc32(faiss.serialize_index(index)), -(-len(database) // CHUNK)
    record = np.dtype([("list", "<i4"), ("id", "<i8"), ("code", "u1", index.code_size)])
    chunks, sizes = [], []
    for first, vectors in tqdm(database.chunks(CHUNK), total=number, desc="encoding", unit="chunk"):
        name, made_of = f"{first}.bin", [trained, zlib.crc32(vectors)]
        if unfinished.facts(name, made_of) is None:
            unfinished.keep(name, made_of, encoded(index, first, vectors, record).tofile)
        chunks.append(unfinished.folder / name)
        sizes.append(np.bincount(np.fromfile(chunks[-1], record)["list"], minlength=index.nlist))
    join(chunks, np.stack(sizes), record, folder / LISTS_FILE)
    take_lists(index, np.sum(sizes, axis=0, dtype=np.uint64), folder / LISTS_FILE)


def take_lists(index: faiss.IndexIVF, sizes: np.ndarray, path: Path) -> None:
    """Make the lists of these sizes (nlist,) in a file, one behind the other, those of an empty index."""
    lists = faiss.OnDiskInvertedLists(index.nlist, index.code_size, str(path))
    lists.set_all_lists_sizes(faiss.swig_ptr(sizes))
    lists.totsize = path.stat().st_size
    index.replace_invlists(lists, True)
    lists.this.disown()  # lists belong to the index from now on
    index.ntotal = int(sizes.sum())


def encoded(index: faiss.IndexIVF, first: int, vectors: np.ndarray, record: np.dtype) -> np.ndarray:
    """Records (n,) of the rows ``first``, ``first + 1``, ... (n, d), sorted by list."""
    lists = index.quantizer.search(vectors, 1)[1].ravel()
    codes = np.empty((len(vectors), index.code_size), np.uint8)
    index.encode_vectors(len(vectors), *(faiss.swig_ptr(x) for x in (vectors, lists, codes)))
    order, records = np.argsort(lists, kind="stable"), np.empty(len(vectors), record)
    records["list"], records["id"], records["code"] = lists[order], first + order, codes[order]
    return records


def join(chunks: Sequence[Path], sizes: np.ndarray, record: np.dtype, path: Path) -> None:
    """Write the lists of all chunks: of each list its codes and then its ids, as Faiss has them.

    ``sizes``: (chunks, lists) records. Files are read, not mapped: only what is joined at a time is in memory.
    """
    ends, of_list = np.cumsum(sizes, axis=1), sizes.sum(axis=0)
    begins = ends - sizes
    each = max(1, JOINED_BYTES * len(of_list) // (record.itemsize * max(int(of_list.sum()), 1)))
    with open(path, "wb") as file:
        for at in tqdm(range(0, len(of_list), each), desc="joining", unit="part"):
            last = min(at + each, len(of_list)) - 1
            places = zip(chunks, begins[:, at].tolist(), ends[:, last].tolist(), strict=True)
            some = np.concatenate(
                [np.fromfile(chunk, record, b - a, offset=a * record.itemsize) for chunk, a, b in places]
            )
            some = some[np.argsort(some["list"], kind="stable")]
            for one in np.split(some, np.cumsum(of_list[at:last])):
                file.write(one["code"].tobytes())
                file.write(one["id"].tobytes())


def release_lists(lists: faiss.InvertedLists) -> None:
    """Take the pages of lists on disk out of the process's memory; the system may keep them in its cache."""
    lists = faiss.downcast_InvertedLists(lists)
    if isinstance(lists, faiss.OnDiskInvertedLists) and lists.totsize:
        place, size = ctypes.c_void_p(int(lists.ptr)), ctypes.c_size_t(lists.totsize)
        ctypes.CDLL(None).madvise(place, size, mmap.MADV_DONTNEED)
