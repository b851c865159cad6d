"""Predict hit rates in databases larger than the data, and check the predictions on the data."""

from nafp.console import tee_to_log
from nafp.evaluation.extrapolation import FEWEST_SONGS, Plan, extrapolate
from nafp.evaluation.extremes import CHECKED
from nafp.evaluation.searched import Searched
from nafp.search.types import index_type_of

with tee_to_log(snakemake.log[0]):
    search = snakemake.params.search
    searched = Searched.open(snakemake.input, search)
    database, question = searched.database, searched.question
    plan, asked = Plan(**snakemake.params.plan, seed=search["seed"]), question.asked
    table = extrapolate(database, question.songs, searched.query, asked, search["lengths"], question.protocol, plan)
    for name, options in snakemake.params.indexes.items():
        table[f"{name}_gb"] = 1e-9 * table["segments"] * index_type_of(name, options).bytes_per_vector(database.dim)
    table.round(4).to_csv(snakemake.output.table, index=False)
    if table.empty:
        print(f"not extrapolated: that takes more than {FEWEST_SONGS} songs at least as long as the queries")
    shown = ["method", "length", "segments", "hit_rate_pct", "low_pct", "high_pct", "measured_pct"]
    print(table.loc[table["kind"] != CHECKED, shown].round(1).to_string(index=False))
