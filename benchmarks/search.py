"""The whole evaluation, batched, against a plain loop over queries as the paper describes it: one table.

PYTHONPATH=scripts python benchmarks/search.py [--threads 2] >> benchmarks/search.md

500 starts x 6 lengths over 20,000 + 3,000 random unit vectors of 128 dimensions, each query a noisy copy of its database
row. Both give the same answers, which is checked; index building is not counted. On a machine that has other work, compare
CPU times with --threads 1, OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1: threads that wait for each other make the plain
loop look worse than it is.
"""

import argparse
import datetime
import os
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np
import pandas as pd

from nafp.jobfacts import processor
from nafp.search.index import build_index, read_index
from nafp.search.sequences import search_sequences
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import Database

LENGTHS = (1, 3, 5, 9, 11, 19)
TYPES = {
    "l2": {},
    "ivf": {"nlist": 256, "nprobe": 40},
    "ivfpq": {"nlist": 256, "nprobe": 40, "m": 64, "nbits": 8},
    "hnsw": {"M": 16, "efConstruction": 80, "efSearch": 64},
}


def unit(x: np.ndarray) -> np.ndarray:
    """Rows divided by their norms."""
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def clocks() -> np.ndarray:
    """Seconds on the clock, and of CPU time."""
    return np.array([time.perf_counter(), time.process_time()])


def plain_loop(index: SearchableIndex, rows: np.ndarray, query: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """(lengths, q) best places, one sequence after the other: search, compensate offsets, score each candidate."""
    best = np.empty((len(LENGTHS), len(starts)), int)
    for i, length in enumerate(LENGTHS):
        for j, start in enumerate(starts):
            sequence = query[start : start + length]
            found = index.nearest(sequence, 20)
            candidates = np.unique(found - np.arange(len(sequence))[:, None])
            candidates = candidates[candidates >= 0]
            scores = []
            for candidate in candidates:
                window = rows[candidate : candidate + len(sequence)]
                scores.append(np.mean(np.sum(sequence[: len(window)] * window, axis=1)))
            best[i, j] = candidates[np.argmax(scores)]
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--types", nargs="+", choices=TYPES, default=list(TYPES))
    parser.add_argument("--repeats", type=int, default=5, help="of the batched search; the median is shown")
    options = parser.parse_args()
    faiss.omp_set_num_threads(options.threads)
    seeded = np.random.default_rng
    dummy, db = (unit(seeded(seed).standard_normal((n, 128))) for seed, n in ((0, 20000), (1, 3000)))
    database = Database(dummy, db)
    query = unit(db + 0.22 * seeded(2).standard_normal(db.shape))
    starts = np.sort(seeded(3).permutation(len(db) - max(LENGTHS) + 1)[:500])
    lines = []
    for name in options.types:
        settings = TYPES[name]
        with tempfile.TemporaryDirectory() as folder:
            build_index(name, settings, database, Path(folder) / name)
            index = read_index(name, settings, Path(folder) / name, database)
        times = []
        for _ in range(options.repeats):
            began = clocks()
            results = search_sequences(index, database, query, starts, LENGTHS, progress=False)
            times.append(clocks() - began)
        began = clocks()
        expected = plain_loop(index, np.concatenate([dummy, db]), query, starts)
        (slow, slow_cpu), (fast, fast_cpu) = clocks() - began, np.median(times, axis=0)
        same = np.mean([result.place[:, 0] for result in results] == expected)
        lines.append(
            {
                "index": name,
                "plain loop, s": f"{slow:.2f}",
                "batched, s": f"{fast:.3f}",
                "ratio": f"{slow / fast:.0f}",
                "CPU, s": f"{slow_cpu:.2f}, {fast_cpu:.3f}",
                "ratio of CPU": f"{slow_cpu / fast_cpu:.0f}",
                "ms a query": f"{1e3 * fast / (len(starts) * len(LENGTHS)):.3f}",
                "same answers": f"{same:.1%}",
                "exact at 1 s": f"{np.mean(results[0].place[:, 0] == starts + len(dummy)):.1%}",
            }
        )
    print(f"\n## {datetime.date.today()}, {processor()}, {options.threads} threads, faiss {faiss.__version__}\n")
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
