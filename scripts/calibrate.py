"""Learn when a model's answers can be believed, from validation songs that the library does not hold."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import faiss
import numpy as np

from nafp import compute
from nafp.audio.splits import Split
from nafp.console import tee_to_log
from nafp.files import atomic_write
from nafp.identify.calibration import calibrate
from nafp.identify.recordings import Recording, record
from nafp.identify.windows import Limits
from nafp.model.fingerprint import fingerprint_blocks
from nafp.model.model import on_device
from nafp.model.weights import load_model
from nafp.yaml_text import parse_yaml

with tee_to_log(snakemake.log[0]):
    inputs, params = snakemake.input, snakemake.params
    device = compute.set_up(snakemake.threads)
    faiss.omp_set_num_threads(snakemake.threads)
    settings = parse_yaml(Path(inputs.settings).read_text(encoding="utf-8"))
    network = load_model(inputs.weights, settings["features"], settings["model"], settings["dim"])
    network = on_device(network, device)

    def read(path: str, most: int) -> list[Recording]:
        """At most so many clips of a split, evenly spaced."""
        split = Split.open(path)
        rows = np.unique(np.linspace(0, len(split.clips) - 1, min(most, len(split.clips))).astype(int))
        clips = split.clips.iloc[rows].itertuples()
        return [record(clip.path, [split.audio[clip.start : clip.start + clip.samples]], embed) for clip in clips]

    def embed(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        return fingerprint_blocks(network, blocks, device)

    songs, queries, others = (read(inputs[name], params.songs) for name in ("songs", "queries", "others"))
    found = calibrate({"clean": songs, "degraded": queries}, songs, others, Limits(windows=params.windows))
    with atomic_write(snakemake.output.limits) as part:
        part.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["unknown"]))
