"""Score one cell."""

import json
from pathlib import Path

import faiss

from nafp.console import tee_to_log
from nafp.evaluation.searched import Searched
from nafp.jobfacts import device_name, job_facts
from nafp.search.external import Grid
from nafp.search.index import read_index
from nafp.search.rates import rates_of_index
from nafp.secrets import without_secrets

with tee_to_log(snakemake.log[0]):
    inputs, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    faiss.omp_set_num_threads(snakemake.threads)
    searched = Searched.open(inputs, params.search, Grid(**params.grid))
    index = read_index(names.index, params.options, inputs.index, searched.database, params.search["device"])
    facts = json.loads(Path(inputs.facts).read_text(encoding="utf-8"))
    made = {"index": facts.pop("provenance"), "search": job_facts(device_name(index.gpu), snakemake.threads)}
    cell, table = searched.cell(
        index,
        rates_of_index(params.options),
        distractors=params.distractors,
        dataset=params.dataset,
        run=names.run,
        fields=params.fields,
        epoch=names.epoch,
        index=names.index,
        index_options=without_secrets(params.options),
        provenance=made,
        **params.queries,
        **facts,
    )
    cell.write(snakemake.output.cell, table)
    print(cell.summary())
