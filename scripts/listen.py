"""Degrade some test segments, let the runs answer, and store what there is to hear."""

import json
from pathlib import Path

import torch

from nafp import compute
from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.augment.queries import held_out_pools
from nafp.console import tee_to_log
from nafp.files import atomic_write
from nafp.model.features import LogMel
from nafp.model.weights import load_model
from nafp.report.page.listening import Run, Songs, chain_steps, choose, listen
from nafp.search.vectors import Database, open_vectors


def sounds(packed: dict[str, str], suffix: str) -> dict[str, Split]:
    """Kind -> sounds, for the kinds that the data set has."""
    splits = {name.removesuffix(suffix): Split.open(path) for name, path in packed.items() if name.endswith(suffix)}
    return {kind: split for kind, split in splits.items() if len(split.clips)}


with tee_to_log(snakemake.log[0]):
    params = snakemake.params
    compute.set_up(snakemake.threads, gpu=False)
    torch.manual_seed(params.seed)
    shown = {"media": {}, "queries": [], "steps": [], "note": ""}
    noises = held_out_pools(sounds(params.packed, "_test"), "test")
    if params.runs and "bg" in noises:
        runs = []
        for name, run in params.runs.items():
            network = load_model(run["weights"], run["features"], run["model"], run["dim"])
            runs.append(Run(name, network, Database(open_vectors(run["dummy"]), open_vectors(run["db"]))))
        songs = Songs(Split.open(params.packed["dummy"]), Split.open(params.packed["test_db"]))
        chosen = choose(songs.db, params.segments, params.seed)
        shown |= listen(runs, songs, chosen, params.snr_db, noises, params.seed)
    else:
        shown["note"] = "no run has finished yet" if not params.runs else "the data set has no held-out noise"
    if params.packed:
        train = Split.open(params.packed["train"])
        pools = {kind: AudioPool(split) for kind, split in sounds(params.packed, "_train").items()}
        shown["steps"] = chain_steps(train, params.chain, pools, LogMel(**params.features), params.seed)
    with atomic_write(Path(snakemake.output[0])) as part:
        part.write_text(json.dumps(shown), encoding="utf-8")
    print(f"{len(shown['queries'])} segments, {len(params.runs)} runs, {len(shown['media'])} sounds. {shown['note']}")
