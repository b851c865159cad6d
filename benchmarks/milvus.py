"""A real Milvus server beside Faiss on the same fingerprints: seconds to build, bytes, memory, milliseconds, recall.

PYTHONPATH=scripts:tests/support python benchmarks/milvus.py 20000 1000000 >> benchmarks/milvus.md

The server is that of tests/support/milvus_server.py, started anew for each size. Random unit vectors of 128 dimensions; a
query is a noisy copy of a row of the database, 1,000 of them. Each index is built and searched in a process of its own.
"""

import argparse
import datetime
import functools
import importlib.metadata
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
from milvus_server import VERSION, MilvusServer, missing

from nafp.jobfacts import processor
from nafp.search.index import build_index, read_index
from nafp.search.sequences import NEIGHBOURS, exact_neighbours
from nafp.search.types import index_type_of
from nafp.search.vectors import Database

DIM, QUERIES, NOISE = 128, 1000, 0.1
ALONE = 100  # queries that are also searched one by one
REPEATS = 3
GRAPH, LISTS = {"M": 16, "efConstruction": 80}, {"nlist": 1024}
EF, NPROBE = 64, 40
INDEXES = {
    "l2": ("l2", {}),
    "ivf": ("ivf", LISTS | {"nprobe": NPROBE}),
    "milvus IVF_FLAT": ("milvus", {"index_type": "IVF_FLAT", "build": LISTS, "search": {"nprobe": NPROBE}}),
    "hnsw": ("hnsw", GRAPH | {"efSearch": EF}),
    "milvus HNSW": ("milvus", {"index_type": "HNSW", "build": GRAPH, "search": {"ef": EF}}),
}


def unit(x: np.ndarray) -> np.ndarray:
    """Rows divided by their norms, in place."""
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def database_and_queries(rows: int) -> tuple[Database, np.ndarray]:
    """A database of so many fingerprints, and queries from the last QUERIES of them."""
    dummy, db = (
        unit(np.random.default_rng(seed).standard_normal((n, DIM), np.float32))
        for seed, n in ((0, rows - QUERIES), (1, QUERIES))
    )
    return Database(dummy, db), unit(
        db + np.float32(NOISE) * np.random.default_rng(2).standard_normal(db.shape, np.float32)
    )


def measured(rows: int, kind: str, options: dict, folder: Path) -> dict:
    """Build an index, open it and search it: what that takes, and the neighbours that it finds."""
    database, query = database_and_queries(rows)
    began = time.perf_counter()
    build_index(kind, options, database, folder)
    build_s = time.perf_counter() - began
    index = read_index(kind, options, folder, database)
    index.nearest(query[:10], NEIGHBOURS)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        found = index.nearest(query, NEIGHBOURS)
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    for one in query[:ALONE]:
        index.nearest(one[None], NEIGHBOURS)
    alone = (time.perf_counter() - began) / ALONE
    return {
        "found": found,
        "build_s": build_s,
        "ms": 1e3 * float(np.median(times)) / len(query),
        "alone_ms": 1e3 * alone,
        "bytes": index_type_of(kind, options).stored_bytes(folder),
    }


def exact(rows: int) -> np.ndarray:
    database, query = database_and_queries(rows)
    return exact_neighbours(database, query, NEIGHBOURS)


def in_a_process(function, *arguments):
    """What a function returns in a new process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def row_of(rows: int, name: str, expected: np.ndarray) -> dict:
    """One row of the table: an index of so many fingerprints."""
    kind, options = INDEXES[name]
    with tempfile.TemporaryDirectory(prefix="nafp-milvus-") as folder:
        run = functools.partial(in_a_process, measured, rows, kind)
        if kind == "milvus":
            with MilvusServer(Path(folder) / "server") as server:
                idle = server.peak_memory()
                facts = run(options | {"uri": server.uri}, Path(folder) / name)
                facts["bytes"] = server.stored_bytes()
                memory = f"{server.peak_memory() / 2**20:.0f} (idle {idle / 2**20:.0f})"
        else:
            facts = run(options, Path(folder) / name)
            memory = "no server"
    both = [len(np.intersect1d(one, other)) for one, other in zip(facts["found"], expected, strict=True)]
    return {
        "fingerprints": f"{rows:,}",
        "index": name,
        "build, s": f"{facts['build_s']:.1f}",
        "MB on disk": f"{facts['bytes'] / 1e6:.0f}",
        "peak memory of the server, MiB": memory,
        f"ms a query, {QUERIES:,} at once": f"{facts['ms']:.3f}",
        "one by one": f"{facts['alone_ms']:.2f}",
        f"recall of {NEIGHBOURS}": f"{np.mean(both) / NEIGHBOURS:.1%}",
        "the right one first": f"{np.mean(facts['found'][:, 0] == np.arange(rows - QUERIES, rows)):.1%}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="+", type=int, help="fingerprints in the database")
    parser.add_argument("--indexes", nargs="+", choices=INDEXES, default=list(INDEXES))
    options = parser.parse_args()
    if missing():
        parser.error(missing())
    lines = []
    for rows in options.rows:
        expected = in_a_process(exact, rows)
        for name in options.indexes:
            lines.append(row_of(rows, name, expected))
            print(*lines[-1].values(), sep="  ", file=sys.stderr, flush=True)
    client = importlib.metadata.version("pymilvus")
    print(
        f"\n## {datetime.date.today()}, {processor()}, {os.cpu_count()} threads, Milvus {VERSION}, pymilvus {client}, "
        f"faiss {faiss.__version__}\n"
    )
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
