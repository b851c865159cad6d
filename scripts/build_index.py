"""Build one index."""

import json
import time
from pathlib import Path

import faiss
import numpy as np

from nafp.console import logged
from nafp.index import build_index, write_index

with logged(snakemake.log[0]):
    faiss.omp_set_num_threads(snakemake.threads)
    dummy, db = (np.load(path, mmap_mode="r") for path in (snakemake.input.dummy, snakemake.input.db))
    began = time.perf_counter()
    index = build_index(snakemake.wildcards.index, snakemake.params.options, dummy, db)
    seconds = time.perf_counter() - began
    path = Path(snakemake.output.index)
    write_index(index, path)
    facts = {"build_s": round(seconds, 3), "index_bytes": path.stat().st_size}
    Path(snakemake.output.facts).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    print(f"{path}: {index.ntotal} fingerprints, {facts['index_bytes'] / index.ntotal:.0f} bytes each, {seconds:.2f} s")
