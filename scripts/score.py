"""Score one cell."""

import json
from pathlib import Path

import faiss
import pandas as pd

from nafp.console import tee_to_log
from nafp.evaluation.openset import with_open_set
from nafp.evaluation.protocol import digest_of_audio, name_of_ids
from nafp.evaluation.starts import choose_starts
from nafp.jobfacts import device_name, job_facts
from nafp.search.checks import check_all_rows
from nafp.search.index import read_index
from nafp.search.sequences import per_query_table, recall, rows_of, search_sequences, songs_of_rows
from nafp.search.vectors import Database, open_vectors
from nafp.secrets import without_secrets

with tee_to_log(snakemake.log[0]):
    inputs, search = snakemake.input, snakemake.params.search
    faiss.omp_set_num_threads(snakemake.threads)
    database = Database(open_vectors(inputs.dummy), open_vectors(inputs.db))
    query = open_vectors(inputs.query)
    tables = [pd.read_csv(path) for path in (*inputs.songs, inputs.clips)]
    samples = [table["samples"].to_numpy() for table in tables]
    check_all_rows([database.dummy, database.db, query], samples, [inputs.dummy, inputs.db, inputs.query])
    index = read_index(snakemake.wildcards.index, snakemake.params.options, inputs.index, database, search["device"])
    lengths = search["lengths"]
    starts = choose_starts(samples[-1], search["test_ids"], search["protocol"], lengths, search["seed"])
    clips, truth = pd.concat(tables[:-1]), starts + len(database.dummy)
    songs = songs_of_rows(clips["samples"])
    own, partial_mean = rows_of(songs, songs[truth]), search["protocol"] == "release"
    results = search_sequences(index, database, query, starts, lengths, own=own, partial_mean=partial_mean)
    table = with_open_set(per_query_table(results, starts, truth, songs, clips["path"]))
    table.to_parquet(snakemake.output.hits, index=False)

    measures = ["top1_exact", "top1_near", "top3_exact", "top10_exact", "top1_song", "open_set"]
    facts = json.loads(Path(inputs.facts).read_text(encoding="utf-8"))
    made = job_facts(device_name(index.gpu), snakemake.threads)
    lengthwise = table.groupby("length", sort=False)
    counts, offset_ms = lengthwise[measures].sum(), lengthwise["offset_ms"].mean().round(1)
    cell = {
        "dataset": snakemake.params.dataset,
        "run": snakemake.wildcards.run,
        "fields": snakemake.params.fields,
        **snakemake.params.queries,
        "epoch": snakemake.wildcards.epoch,
        "index": snakemake.wildcards.index,
        "index_options": without_secrets(snakemake.params.options),
        "protocol": search["protocol"],
        "test_ids": name_of_ids(search["test_ids"]),
        "audio": digest_of_audio([*inputs.songs, inputs.clips]),
        "database": {"dummy": len(database.dummy), "db": len(database.db)},
        "songs": int(table["song"].nunique()),
        "queries": len(starts),
        "lengths": lengths,
        "seconds": [(length + 1) / 2 for length in lengths],
        "hits": {name: counts[name].tolist() for name in measures},
        "recall": recall(index, database, query),
        "mrr": lengthwise["rr"].mean().round(6).tolist(),  # 3 digits are shown, so 4 would be rounded twice
        # of the answers in the right song, if there are any
        "offset_ms": [ms if pd.notna(ms) else None for ms in offset_ms],
        "memory_bytes": index.memory_bytes,
        "ms_per_segment": round(results[0].ms_per_segment, 4),
        "ms_per_query": [round(result.ms, 4) for result in results],
        "provenance": {"index": facts.pop("provenance"), "search": made},
        **facts,
    }
    Path(snakemake.output.cell).write_text(json.dumps(cell, indent=1) + "\n", encoding="utf-8")
    print((100 * counts / len(starts)).round(1).to_string())
