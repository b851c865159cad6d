"""Draw one figure of a study."""

from pathlib import Path

import pandas as pd

from nafp.console import tee_to_log
from nafp.report.figures import pareto, plots
from nafp.report.tables.cells import load_cells, run_labels
from nafp.report.tables.published import load_published, of_study

with tee_to_log(snakemake.log[0]):
    params, path, varied = snakemake.params, snakemake.output.svg, snakemake.params.study["varied"]
    cells, published = load_cells(params.cells), load_published(snakemake.input.published)
    beside = published if len(of_study(published, params.study["name"])) else None
    match snakemake.wildcards.figure:
        case "hit_rate":
            plots.hit_rate_over_length(cells, path, varied, beside)
        case "open_set":
            plots.right_over_false_accepts(cells, path, varied)
        case "costs":
            pareto.index_costs(cells, path)
        case "learning":
            names = run_labels(pd.DataFrame(params.study["planned"]), varied)
            files = {Path(file).parent.name: file for file in params.histories}
            histories = {names[run]: pd.read_csv(file) for run, file in files.items()}
            plots.learning_curves(histories, path, params.validation)
        case field:
            plots.hit_rate_over(cells, path, field, varied, beside, order=params.chains)
