"""Generate distractors, or a shard of them."""

from pathlib import Path

import numpy as np
import pandas as pd

from nafp.audio.segments import segments_of
from nafp.audio.songs import songs_of_rows
from nafp.console import tee_to_log
from nafp.evaluation.generated import fit_part, generated_to_file
from nafp.search.vectors import Database, open_vectors

with tee_to_log(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    dummy, clips = open_vectors(inputs.dummy), pd.read_csv(inputs.clips)
    model = fit_part(Database(dummy, dummy[:0]), songs_of_rows(clips["samples"].to_numpy()), np.ones(len(clips), bool))
    number, shards = params.shard or (0, 1)
    songs = (number + 1) * params.songs // shards - number * params.songs // shards
    path = Path(snakemake.output.vectors)
    generated_to_file(model, songs, segments_of(params.samples), [params.seed, number], path)
