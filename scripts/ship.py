"""Write a trained run as one small file, and its model card."""

from pathlib import Path

import pandas as pd

from nafp.console import tee_to_log
from nafp.files import read_json
from nafp.pretrained.ship import write_shipped
from nafp.report.card import write_card

with tee_to_log(snakemake.log[0]):
    inputs, params, weights = snakemake.input, snakemake.params, Path(snakemake.output.weights)
    size = write_shipped(inputs.weights, read_json(inputs.limits), weights)
    print(f"{weights}: {size / 1e6:.1f} MB")
    history = pd.read_csv(inputs.history)
    anchors = (history["anchors_per_s"] * history["seconds"]).mean()
    facts = {
        "data": params.data,
        "composed": params.composed,
        "epoch": params.epoch,
        "epochs": len(history),
        "jobs": read_json(inputs.provenance, "jobs")["jobs"],
        "segments": f"{anchors:,.0f}",
        "hours": f"{history['seconds'].sum() / 3600:.1f}",
    }
    write_card(weights, params.name, facts, list(map(Path, inputs.cells)), Path(snakemake.output.card))
