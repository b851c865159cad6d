"""Measure one index over growing parts of the database."""

import faiss

from nafp.audio.songs import songs_of_rows
from nafp.console import tee_to_log
from nafp.evaluation.scale import measure, predictions
from nafp.evaluation.searched import Searched

with tee_to_log(snakemake.log[0]):
    params, search, name = snakemake.params, snakemake.params.search, snakemake.wildcards.index
    faiss.omp_set_num_threads(snakemake.threads)
    searched = Searched.open(snakemake.input, search)
    question, protocol = searched.question, searched.question.protocol
    found = measure(
        name,
        params.options,
        searched.database,
        searched.query,
        songs=songs_of_rows(question.db["samples"]),
        asked=question.asked,
        lengths=search["lengths"],
        fractions=params.fractions,
        partial_mean=protocol.partial_mean,
        within=question.songs if protocol.within_song else None,
        seed=search["seed"],
        train_max=search["train_max"],
    )
    found.to_parquet(snakemake.output.hits, index=False)
    table = predictions(found, seed=search["seed"])
    table.round(4).to_csv(snakemake.output.table, index=False)
    print(table.round(2).to_string(index=False))
