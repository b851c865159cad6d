"""List the queries and the songs for a system that hands in its answers."""

import pandas as pd

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.evaluation.starts import choose_starts
from nafp.methods.answers import Queries
from nafp.methods.handed_in import questions

with tee_to_log(snakemake.log[0]):
    inputs, output, params, search = snakemake.input, snakemake.output, snakemake.params, snakemake.params.search
    tables = []
    for name, path in zip(params.query_sets, inputs.queries, strict=True):
        split = Split.open(path)
        samples = split.clips["samples"].to_numpy()
        starts = choose_starts(samples, search["test_ids"], search["protocol"], search["lengths"], search["seed"])
        tables.append(questions(Queries(split, starts, name), search["lengths"]))
    listed = pd.concat(tables)
    listed.to_csv(output.queries, index=False)
    clips = pd.concat([Split.open(path).clips for path in inputs.songs])
    songs = pd.DataFrame({"song": clips["path"], "seconds": clips["samples"] / SAMPLE_RATE})
    songs.to_csv(output.songs, index=False)
    print(f"{len(listed):,} queries in {output.queries}, {len(songs):,} songs in {output.songs}")
