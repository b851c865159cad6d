"""Train one run."""

import hashlib
import json
from pathlib import Path

import yaml

from nafp import compute
from nafp.console import logged
from nafp.corpus import Split
from nafp.train import Settings, train, write_results

with logged(snakemake.log[0]):
    settings, out = snakemake.params.settings, snakemake.output
    splits = {name: Split.open(path) for name, path in snakemake.input.items() if name != "code"}
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    state = Path(out.history).parent / f".state-{key}.pt"  # undeclared: Snakemake keeps it when the job fails
    trainer = train(Settings(**settings), splits, compute.set_up(snakemake.threads), state, snakemake.wildcards.run)
    write_results(trainer, Path(out.last), Path(out.best), Path(out.history))
    Path(out.config).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    state.unlink()
