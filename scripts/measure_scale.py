"""Measure one index over growing parts of the database."""

import faiss
import pandas as pd

from nafp.audio.songs import songs_of_rows
from nafp.console import tee_to_log
from nafp.evaluation.asked import Asked
from nafp.evaluation.protocol import PROTOCOLS
from nafp.evaluation.scale import measure, predictions
from nafp.search.checks import check_all_rows
from nafp.search.vectors import Database, open_vectors

with tee_to_log(snakemake.log[0]):
    inputs, params, search = snakemake.input, snakemake.params, snakemake.params.search
    faiss.omp_set_num_threads(snakemake.threads)
    database, query = Database(open_vectors(inputs.dummy), open_vectors(inputs.db)), open_vectors(inputs.query)
    tables = [pd.read_csv(path) for path in (*inputs.songs, inputs.clips)]
    samples = [table["samples"].to_numpy() for table in tables]
    check_all_rows([database.dummy, database.db, query], samples, [inputs.dummy, inputs.db, inputs.query])
    asked = Asked.of(*tables[1:], search)
    building = {"seed": search["seed"], "train_max": search["train_max"]}
    protocol = PROTOCOLS[search["protocol"]]
    name, lengths = snakemake.wildcards.index, search["lengths"]
    songs = songs_of_rows(samples[1])
    within = songs_of_rows(*samples[:-1]) if protocol.within_song else None
    how = {"partial_mean": protocol.partial_mean, "within": within, **building}
    found = measure(name, params.options, database, query, songs, asked, lengths, params.fractions, **how)
    found.to_parquet(snakemake.output.hits, index=False)
    table = predictions(found, seed=search["seed"])
    table.round(4).to_csv(snakemake.output.table, index=False)
    print(table.round(2).to_string(index=False))
