"""A database larger than memory: built and searched on disk within a limit, next to the same type in memory; one table.

PYTHONPATH=scripts python benchmarks/ondisk.py [--rows 5000000] [--folder /tmp/ondisk] >> benchmarks/search.md

Random unit vectors of 128 dimensions; 500 starts x 6 lengths. Building and searching are processes of their own. The limit
is RLIMIT_DATA, beyond which Linux gives no memory that is not a file's. Private memory (Anonymous of smaps_rollup, sampled)
is what a process needs; the whole resident memory (ru_maxrss) holds pages of mapped files too, which Linux takes back when
others need them.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from nafp.report.provenance import processor
from nafp.search.index import build_index, read_index
from nafp.search.sequences import hits, recall, search_sequences
from nafp.search.vectors import Database, open_vectors

DIM, LENGTHS, STARTS, DB = 128, (1, 3, 5, 9, 11, 19), 500, 3000
CHUNK = 2**17  # rows written at a time
SAMPLE_S = 0.05  # between looks at the memory
OPTIONS = {"nlist": 1024, "nprobe": 40, "codes": 32, "bits": 8, "factor": 4}
TRAIN_MAX = 50_000  # fingerprints
TYPES = {"ivfpq-rr-ondisk": True, "ivfpq-rr": False}  # whether it has to stay within the limit


def private_bytes() -> int:
    """Memory of this process that is no file's, now."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


class Peak(threading.Thread):
    """The largest private memory while it runs."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bytes, self.stopped = 0, threading.Event()

    def run(self) -> None:
        while not self.stopped.wait(SAMPLE_S):
            self.bytes = max(self.bytes, private_bytes())


def unit(x: np.ndarray) -> np.ndarray:
    """Rows divided by their norms."""
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def write_vectors(folder: Path, rows: int) -> None:
    """dummy, db and query: a query is a noisy copy of its row in db."""
    seeded = np.random.default_rng
    db = unit(seeded(1).standard_normal((DB, DIM)))
    np.save(folder / "db.npy", db)
    np.save(folder / "query.npy", unit(db + 0.1 * seeded(2).standard_normal(db.shape)))
    dummy, g = np.lib.format.open_memmap(folder / "dummy.npy", "w+", np.float32, (rows - DB, DIM)), seeded(0)
    for first in range(0, len(dummy), CHUNK):
        dummy[first : first + CHUNK] = unit(g.standard_normal((min(CHUNK, len(dummy) - first), DIM), np.float32))
    dummy.flush()


def work(stage: str, name: str, folder: Path) -> dict:
    """Build an index, or search it."""
    database = Database(open_vectors(folder / "dummy.npy"), open_vectors(folder / "db.npy"))
    began = time.perf_counter()
    if stage == "build":
        build_index(name, OPTIONS, database, folder / name, train_max=TRAIN_MAX)
        size = sum(file.stat().st_size for file in (folder / name).iterdir())
        return {"s": time.perf_counter() - began, "bytes": size / len(database)}
    query = open_vectors(folder / "query.npy")
    index = read_index(name, OPTIONS, folder / name, database)
    starts = np.sort(np.random.default_rng(3).permutation(DB - max(LENGTHS) + 1)[:STARTS])
    first, again = (search_sequences(index, database, query, starts, LENGTHS, progress=False) for _ in range(2))
    exact = hits(again[0].place, starts + len(database.dummy))["top1_exact"].mean()
    return {
        "first": np.mean([result.ms for result in first]),
        "again": np.mean([result.ms for result in again]),
        "exact": exact,
        "recall": recall(index, database, query)["nearest"],
    }


def child(options: argparse.Namespace) -> None:
    """Do one stage within the limit, and print what it took."""
    faiss.omp_set_num_threads(options.threads)
    if options.limit:
        resource.setrlimit(resource.RLIMIT_DATA, (options.limit, options.limit))
    peak = Peak()
    peak.start()
    facts = work(options.stage, options.name, options.folder)
    peak.stopped.set()
    peak.join()
    facts |= {"private": peak.bytes, "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    print(json.dumps(facts))


def measured(stage: str, name: str, folder: Path, limit: int, threads: int) -> dict:
    """What a process of its own takes for a stage."""
    command = [sys.executable, __file__, "--folder", folder, "--stage", stage, "--name", name, "--threads", threads]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(
        [*map(str, command), "--limit", str(limit)], env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    print(f"{name}, {stage}: {done.stdout.splitlines()[-1]}", file=sys.stderr)  # so that an interrupted run has told it
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument(
        "--folder", type=Path, help="for the files, three times the database (default: a temporary one)"
    )
    parser.add_argument("--limit", type=int, default=2**30, help="bytes of private memory (default 1 GiB)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--stage", choices=("build", "search"), help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        child(options)
        return
    lines = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        write_vectors(Path(folder), options.rows)
        for name, limited in TYPES.items():
            limit = options.limit if limited else 0
            build, search = (measured(s, name, Path(folder), limit, options.threads) for s in ("build", "search"))
            lines.append(
                {
                    "index": name,
                    "limit, GiB": f"{limit / 2**30:g}" if limit else "none",
                    "build, s": f"{build['s']:.0f}",
                    "bytes a fingerprint on disk": f"{build['bytes']:.0f}",
                    **{
                        f"{what}, private (resident), GiB": f"{one['private'] / 2**30:.2f} ({one['resident'] / 2**30:.2f})"
                        for what, one in (("build", build), ("search", search))
                    },
                    "ms a query, first (again)": f"{search['first']:.2f} ({search['again']:.2f})",
                    "exact at 1 s": f"{search['exact']:.1%}",
                    "recall": f"{search['recall']:.1%}",
                }
            )
    heading = f"{datetime.date.today()}, {options.rows:,} fingerprints, {processor()}, {options.threads} threads"
    print(f"\n## On disk: {heading}, faiss {faiss.__version__}\n")
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
