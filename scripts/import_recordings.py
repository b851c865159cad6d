"""Make a data set of real recordings and their songs."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.datasets.recordings import import_recordings
from nafp.text import for_spreadsheets

with tee_to_log(snakemake.log[0]):
    params = snakemake.params
    table = import_recordings(params.dataset, Path(params.root), snakemake.threads)
    for_spreadsheets(table).to_csv(snakemake.output.table, index=False)
    for row in table[table["problem"] != ""].itertuples():
        print(f"left out {row.source}{'' if row.row != row.row else f', row {row.row:.0f}'}: {row.problem}")
    for row in table[(table["problem"] == "") & (table["note"] != "")].itertuples():
        print(f"note on {row.source}: {row.note}")
    print(table[table["problem"] == ""].groupby("split").size().to_string())
