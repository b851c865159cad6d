"""Predict hit rates in databases larger than the data, and check the predictions on the data."""

import pandas as pd

from nafp.audio.songs import songs_of_rows
from nafp.console import tee_to_log
from nafp.evaluation.asked import Asked
from nafp.evaluation.extrapolation import FEWEST_SONGS, Plan, extrapolate
from nafp.evaluation.extremes import CHECKED
from nafp.evaluation.protocol import PROTOCOLS
from nafp.search.checks import check_all_rows
from nafp.search.types import index_type_of
from nafp.search.vectors import Database, open_vectors

with tee_to_log(snakemake.log[0]):
    inputs, search = snakemake.input, snakemake.params.search
    database, query = Database(open_vectors(inputs.dummy), open_vectors(inputs.db)), open_vectors(inputs.query)
    tables = [pd.read_csv(path) for path in (*inputs.songs, inputs.clips)]
    samples = [table["samples"].to_numpy() for table in tables]
    check_all_rows([database.dummy, database.db, query], samples, [inputs.dummy, inputs.db, inputs.query])
    asked = Asked.of(*tables[1:], search)
    plan, protocol = Plan(**snakemake.params.plan, seed=search["seed"]), PROTOCOLS[search["protocol"]]
    songs = songs_of_rows(*samples[:-1])
    table = extrapolate(database, songs, query, asked, search["lengths"], protocol, plan)
    for name, options in snakemake.params.indexes.items():
        table[f"{name}_gb"] = 1e-9 * table["segments"] * index_type_of(name, options).bytes_per_vector(database.dim)
    table.round(4).to_csv(snakemake.output.table, index=False)
    if table.empty:
        print(f"not extrapolated: that takes more than {FEWEST_SONGS} songs at least as long as the queries")
    shown = ["method", "length", "segments", "hit_rate_pct", "low_pct", "high_pct", "measured_pct"]
    print(table.loc[table["kind"] != CHECKED, shown].round(1).to_string(index=False))
