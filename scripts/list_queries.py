"""List the queries and the songs for a system that hands in its answers."""

import pandas as pd

from nafp.audio.segments import SAMPLE_RATE
from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.evaluation.asked import Asked
from nafp.methods.answers import Queries
from nafp.methods.handed_in import questions

with tee_to_log(snakemake.log[0]):
    inputs, output, params, search = snakemake.input, snakemake.output, snakemake.params, snakemake.params.search
    tables, clips = [], [Split.open(path).clips for path in inputs.songs]
    for name, path in zip(params.query_sets, inputs.queries, strict=True):
        split = Split.open(path)
        starts = Asked.of(clips[1], split.clips, search).starts
        tables.append(questions(Queries(split, starts, name), search["lengths"]))
    listed = pd.concat(tables)
    listed.to_csv(output.queries, index=False)
    listed_songs = pd.concat(clips)
    songs = pd.DataFrame({"song": listed_songs["path"], "seconds": listed_songs["samples"] / SAMPLE_RATE})
    songs.to_csv(output.songs, index=False)
    print(f"{len(listed):,} queries in {output.queries}, {len(songs):,} songs in {output.songs}")
