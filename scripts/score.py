"""Score one cell."""

import json
from pathlib import Path

import faiss
import pandas as pd

from nafp.audio.segments import count_segments
from nafp.console import tee_to_log
from nafp.evaluation.asked import Asked
from nafp.evaluation.cell import Cell, times_of
from nafp.evaluation.hits import per_query_table, rows_of, songs_of_rows
from nafp.evaluation.identity import digest_of_audio, name_of_ids
from nafp.evaluation.other_grid import search_on_grid
from nafp.evaluation.protocol import PROTOCOLS
from nafp.jobfacts import device_name, job_facts
from nafp.search.checks import check_all_rows
from nafp.search.external import OURS, Grid
from nafp.search.index import read_index
from nafp.search.rates import rates_of_index
from nafp.search.sequences import recall, search_sequences
from nafp.search.vectors import Database, open_vectors
from nafp.secrets import without_secrets

with tee_to_log(snakemake.log[0]):
    inputs, search = snakemake.input, snakemake.params.search
    faiss.omp_set_num_threads(snakemake.threads)
    database = Database(open_vectors(inputs.dummy), open_vectors(inputs.db))
    query = open_vectors(inputs.query)
    tables = [pd.read_csv(path) for path in (*inputs.songs, inputs.clips)]
    samples = [table["samples"].to_numpy() for table in tables]
    grid = Grid(**snakemake.params.grid)
    check_all_rows([database.dummy, database.db, query], samples, [inputs.dummy, inputs.db, inputs.query], grid)
    index = read_index(snakemake.wildcards.index, snakemake.params.options, inputs.index, database, search["device"])
    asked, segments = Asked.of(*tables[1:], search), [int(count_segments(one).sum()) for one in samples[:-1]]
    clips, truth = pd.concat(tables[:-1]), asked.right + segments[0]
    songs, rates = songs_of_rows(clips["samples"]), rates_of_index(snakemake.params.options)
    protocol = PROTOCOLS[search["protocol"]]
    if grid == OURS:
        how = {"own": rows_of(songs, songs[truth]), "partial_mean": protocol.partial_mean, "rates": rates}
        how["songs"] = songs if protocol.within_song else None
        results = search_sequences(index, database, query, asked.starts, search["lengths"], **how)
    else:
        places = clips["samples"].to_numpy(), samples[-1], asked.starts, search["lengths"], truth
        results = search_on_grid(index, database, query, grid, *places, search["protocol"], rates)
    how_asked = asked.moved, asked.placed, protocol.near_across_songs
    table = per_query_table(results, asked.starts, truth, songs, clips["path"], *how_asked)
    facts = json.loads(Path(inputs.facts).read_text(encoding="utf-8"))
    made = job_facts(device_name(index.gpu), snakemake.threads)
    cell = Cell.count(
        table,
        asked.placed,
        dataset=snakemake.params.dataset,
        run=snakemake.wildcards.run,
        fields=snakemake.params.fields,
        **snakemake.params.queries,
        epoch=snakemake.wildcards.epoch,
        index=snakemake.wildcards.index,
        index_options=without_secrets(snakemake.params.options),
        protocol=search["protocol"],
        test_ids=name_of_ids(search["test_ids"]),
        audio=digest_of_audio([*inputs.songs, inputs.clips]),
        database=dict(zip((snakemake.params.distractors, "db"), segments, strict=True)),
        fingerprints=None if grid == OURS else len(database),
        recall=recall(index, database, query),
        memory_bytes=index.memory_bytes,
        **times_of(results),
        provenance={"index": facts.pop("provenance"), "search": made},
        **facts,
    )
    cell.write(snakemake.output.cell, table)
    print(cell.summary())
