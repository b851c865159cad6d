"""The page's sound demo: a few test segments, degraded, and what each run answers; what each augmentation step does."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from nafp import compute
from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.augment.held_out import held_out_pools
from nafp.augment.steps import chain_pools
from nafp.datasets.layout import sounds_split
from nafp.files import atomic_write
from nafp.model.features import LogMel
from nafp.model.weights import load_model
from nafp.report.page.listening import Run, chain_steps, choose, excerpts, listen
from nafp.report.songs import HeardSongs
from nafp.search.vectors import Database, open_vectors


@dataclass(frozen=True)
class Demo:
    """``runs``: name -> weights, dummy and db (fingerprints), dim, features and model. ``packed``: split -> file; nothing
    if a split is missing. ``chain``: the steps that are shown, of images with ``features``. ``query_sets``: name -> packed
    queries that are to be heard. ``note``: why there are no runs."""

    runs: Mapping[str, Mapping]
    packed: Mapping[str, str]
    segments: int
    snr_db: Sequence[float]
    chain: Sequence[Mapping]
    features: Mapping
    seed: int
    query_sets: Mapping[str, str] = field(default_factory=dict)
    note: str = "no run has finished yet"


def write_demo(demo: Demo, path: Path, threads: int) -> None:
    """Let the runs answer, and store what there is to hear and see as JSON."""
    compute.set_up(threads, gpu=False)
    torch.manual_seed(demo.seed)
    shown = {"media": {}, "queries": [], "steps": [], "ladders": {}, "note": ""}
    noises = held_out_pools(sounds(demo.packed, "test", ("bg", "ir")), "test")
    if demo.runs and "bg" in noises:
        songs = HeardSongs(Split.open(demo.packed["dummy"]), Split.open(demo.packed["test_db"]))
        chosen = choose(songs.db, demo.segments, demo.seed)
        shown |= listen(loaded(demo.runs), songs, chosen, demo.snr_db, noises, demo.seed)
    else:
        shown["note"] = demo.note if not demo.runs else "the data set has no held-out noise"
    if demo.packed:
        train = Split.open(demo.packed["train"])
        pools = {
            kind: AudioPool(split) for kind, split in sounds(demo.packed, "train", chain_pools(demo.chain)).items()
        }
        db = Split.open(demo.packed["test_db"])
        (segment,) = choose(db, 1, demo.seed)
        shown["ladders"] = excerpts(db, {name: Split.open(path) for name, path in demo.query_sets.items()}, segment)
        shown["steps"] = chain_steps(train, demo.chain, pools, LogMel(**demo.features), demo.seed)
        shown |= {name: demo.features[name] for name in ("f_min", "f_max")}
    with atomic_write(path) as part:
        part.write_text(json.dumps(shown), encoding="utf-8")
    print(f"{len(shown['queries'])} segments, {len(demo.runs)} runs, {len(shown['media'])} sounds. {shown['note']}")


def loaded(runs: Mapping[str, Mapping]) -> list[Run]:
    """The models of runs, and the databases that they answer from."""
    found = []
    for name, run in runs.items():
        network = load_model(run["weights"], run["features"], run["model"], run["dim"])
        found.append(Run(name, network, Database(open_vectors(run["dummy"]), open_vectors(run["db"]))))
    return found


def sounds(packed: Mapping[str, str], part: str, kinds: Iterable[str]) -> dict[str, Split]:
    """Kind -> sounds for a part, train or test, for those of the kinds that the data set has."""
    names = {kind: sounds_split(kind, part) for kind in kinds}
    splits = {kind: Split.open(packed[name]) for kind, name in names.items() if name in packed}
    return {kind: split for kind, split in splits.items() if len(split.clips)}
