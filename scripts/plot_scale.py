"""Draw hit rate and search time over the size of the database."""

from pathlib import Path

import pandas as pd

from nafp.console import tee_to_log
from nafp.report.figures import plots

with tee_to_log(snakemake.log[0]):
    tables = {Path(path).stem.split(".")[0]: pd.read_csv(path) for path in snakemake.params.tables}
    plots.scale(tables, snakemake.output.svg)
