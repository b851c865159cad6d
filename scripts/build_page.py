"""Build the scoreboard page and the summary."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.report.page.job import Origin, write_page

with tee_to_log(snakemake.log[0]):
    inputs, params, folder = snakemake.input, snakemake.params, Path(snakemake.output.page).parent
    shown = params.studies, params.closer, inputs.cells
    told = inputs.listening, snakemake.threads, inputs.misses
    write_page(Origin(**params.origin), *shown, folder, *told, *inputs.beyond)
