"""A database larger than memory: built and searched on disk within a limit, next to the same type in memory; one table.

PYTHONPATH=scripts python benchmarks/ondisk.py [--rows 5000000] [--folder /tmp/ondisk] >> benchmarks/search.md

Random unit vectors of 128 dimensions; 500 starts x 6 lengths. Building and searching are processes of their own. Memory is
the largest resident set of a process (VmHWM of /proc/self/status): its own memory and the pages of files that it has mapped.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from nafp.evaluation.hits import rank_of_truth
from nafp.jobfacts import processor
from nafp.search.index import build_index, read_index
from nafp.search.sequences import recall, search_sequences
from nafp.search.vectors import Database, open_vectors

DIM, LENGTHS, STARTS, DB = 128, (1, 3, 5, 9, 11, 19), 500, 3000
CHUNK = 2**17  # rows written at a time
OPTIONS = {"nlist": 1024, "nprobe": 40, "m": 32, "nbits": 8, "k_factor": 4}
TRAIN_MAX = 50_000  # fingerprints
TYPES = {"ivfpq-rr-ondisk": True, "ivfpq-rr": False}  # whether it must stay within the limit


def peak_bytes() -> int:
    """The largest resident memory of this process so far. (ru_maxrss has its parent's in it.)"""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def unit(x: np.ndarray) -> np.ndarray:
    """Rows divided by their norms."""
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def write_vectors(folder: Path, rows: int) -> None:
    """dummy, db and query: a query is a noisy copy of its row in db."""
    seeded = np.random.default_rng
    db = unit(seeded(1).standard_normal((DB, DIM)))
    np.save(folder / "db.npy", db)
    np.save(folder / "query.npy", unit(db + 0.1 * seeded(2).standard_normal(db.shape)))
    g, left = seeded(0), rows - DB
    with open(folder / "dummy.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (left, DIM)})
        for first in range(0, left, CHUNK):
            file.write(unit(g.standard_normal((min(CHUNK, left - first), DIM), np.float32)).tobytes())


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
    ms = []
    for _ in range(2):
        began = time.perf_counter(), time.process_time()
        results = search_sequences(index, database, query, starts, LENGTHS, progress=False)
        took = time.perf_counter() - began[0], time.process_time() - began[1]
        ms.append([1e3 * seconds / (len(starts) * len(LENGTHS)) for seconds in took])
    exact = (rank_of_truth(results[0].place, results[0].score, starts + len(database.dummy)) == 1).mean()
    return {
        "ms": ms,
        "exact": exact,
        "recall": recall(index, database, query)["nearest"],
    }


def child(options: argparse.Namespace) -> None:
    """Do one stage, and print what it took."""
    faiss.omp_set_num_threads(options.threads)
    facts = work(options.stage, options.name, options.folder)
    print(json.dumps(facts | {"peak": peak_bytes()}))


def measured(stage: str, name: str, folder: Path, threads: int) -> dict:
    """What a process of its own takes for a stage."""
    command = [sys.executable, __file__, "--folder", folder, "--stage", stage, "--name", name, "--threads", threads]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run([*map(str, command)], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{name}, {stage}: {done.stdout.splitlines()[-1]}", file=sys.stderr)  # so that an interrupted run has told it
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument(
        "--folder", type=Path, help="for the files, three times the database (default: a temporary one)"
    )
    parser.add_argument(
        "--limit", type=int, default=2**30, help="bytes that the type on disk may have resident (1 GiB)"
    )
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
            build, search = (measured(s, name, Path(folder), options.threads) for s in ("build", "search"))
            if limited and max(build["peak"], search["peak"]) > options.limit:
                sys.exit(f"{name}: needs more than {options.limit} bytes")
            lines.append(
                {
                    "index": name,
                    "build, s": f"{build['s']:.0f}",
                    "bytes a fingerprint on disk": f"{build['bytes']:.0f}",
                    "peak memory, GiB: build": f"{build['peak'] / 2**30:.2f}",
                    "search": f"{search['peak'] / 2**30:.2f}",
                    "ms a query, first, again (CPU)": ", ".join(f"{ms:.2f} ({cpu:.2f})" for ms, cpu in search["ms"]),
                    "exact at 1 s": f"{search['exact']:.1%}",
                    "recall": f"{search['recall']:.1%}",
                }
            )
    heading = f"{datetime.date.today()}, {options.rows:,} fingerprints, {processor()}, {options.threads} threads"
    print(f"\n## On disk: {heading}, faiss {faiss.__version__}\n")
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
