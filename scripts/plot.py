"""Draw one figure of a study."""

import pandas as pd

from nafp.console import logged
from nafp.report import plots
from nafp.report.cells import run_labels
from nafp.report.scoreboard import load_cells, load_published

with logged(snakemake.log[0]):
    inputs, params, path = snakemake.input, snakemake.params, snakemake.output[0]
    match snakemake.wildcards.figure:
        case "hit_rate":
            published = load_published(inputs.published)
            plots.hit_rate_over_length(load_cells(inputs.cells), path, params.varied, published)
        case "speed":
            plots.hit_rate_against_time(load_cells(inputs.cells), path)
        case "learning":
            names = run_labels(load_cells(inputs.cells), params.varied)
            histories = {names[run]: pd.read_csv(file) for run, file in zip(params.runs, inputs.histories, strict=True)}
            plots.learning_curves(histories, path)
