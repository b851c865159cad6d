"""Make a data set of one's own audio."""

import json
from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.own import import_audio
from nafp.text import for_spreadsheets

with tee_to_log(snakemake.log[0]):
    params = snakemake.params
    table = import_audio(params.options, Path(params.root), Path(params.cache), snakemake.threads)
    for_spreadsheets(table).to_csv(snakemake.output.table, index=False)
    Path(snakemake.output.states).write_text(json.dumps(params.states), encoding="utf-8")
    for row in table[table["problem"] != ""].itertuples():
        print(f"left out {row.source}: {row.problem}")
    for row in table[(table["problem"] == "") & (table["note"] != "")].itertuples():
        print(f"note on {row.source}: {row.note}")
    print(table[table["problem"] == ""].groupby("split").size().to_string())
