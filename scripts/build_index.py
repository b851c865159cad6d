"""Build one index."""

import json
import time
from pathlib import Path

import faiss

from nafp.console import tee_to_log
from nafp.jobfacts import device_name, job_facts
from nafp.search.index import build_index
from nafp.search.types import index_type_of
from nafp.search.vectors import Database, open_vectors

with tee_to_log(snakemake.log[0]):
    params, folder = snakemake.params, Path(snakemake.output.index)
    faiss.omp_set_num_threads(snakemake.threads)
    database = Database(open_vectors(snakemake.input.dummy), open_vectors(snakemake.input.db))
    began = time.perf_counter()
    settings = {"seed": params.seed, "train_max": params.train_max, "device": params.device}
    gpu = build_index(snakemake.wildcards.index, params.options, database, folder, **settings)
    seconds = time.perf_counter() - began
    size = index_type_of(snakemake.wildcards.index, params.options).stored_bytes(folder)
    made = job_facts(device_name(gpu), snakemake.threads)
    facts = {"build_s": round(seconds, 3), "index_bytes": size, "provenance": made}
    Path(snakemake.output.facts).write_text(json.dumps(facts) + "\n", encoding="utf-8")
    each = "on a server" if size is None else f"{size / len(database):.0f} bytes each"
    print(f"{folder}: {len(database)} fingerprints, {each}, {seconds:.2f} s")
