"""Build one index."""

import json
import time
from pathlib import Path

import faiss

from nafp.console import tee_to_log
from nafp.jobfacts import device_name, job_facts
from nafp.search.index import build_index
from nafp.search.vectors import Database, open_vectors

with tee_to_log(snakemake.log[0]):
    params, folder = snakemake.params, Path(snakemake.output.index)
    faiss.omp_set_num_threads(snakemake.threads)
    database = Database(open_vectors(snakemake.input.dummy), open_vectors(snakemake.input.db))
    began = time.perf_counter()
    settings = {"seed": params.seed, "train_max": params.train_max, "device": params.device}
    gpu = build_index(snakemake.wildcards.index, params.options, database, folder, **settings)
    seconds = time.perf_counter() - began
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    made = job_facts(device_name(gpu), snakemake.threads)
    facts = {"build_s": round(seconds, 3), "index_bytes": size, "provenance": made}
    Path(snakemake.output.facts).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    each = facts["index_bytes"] / len(database)
    print(f"{folder}: {len(database)} fingerprints, {each:.0f} bytes each, {seconds:.2f} s")
