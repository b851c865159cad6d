"""Results that were cut short, by a full disk or a copy that was broken off: one sentence names the file."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from wavs import write

from nafp.audio.splits import Split
from nafp.audio.wav import read_wav
from nafp.errors import UserError
from nafp.evaluation.song_hits import read_hits
from nafp.files import damaged_file_errors, read_json
from nafp.model.weights import load_model
from nafp.report.tables.cells import load_cells
from nafp.search.vectors import write_manifest


def packed(folder: Path) -> None:
    np.save(folder / "split.npy", np.zeros(8000, np.int16))
    (folder / "split.csv").write_text("path,start,samples\na.wav,0,8000\n")


def weights(folder: Path) -> None:
    save_file({"a": torch.zeros(8)}, folder / "weights.safetensors")


def shards(folder: Path) -> None:
    for number in range(2):
        np.save(folder / f"{number}.npy", np.eye(4, dtype=np.float32))


def cell(folder: Path) -> None:
    (folder / "l2.json").write_text('{"dataset": "demo"')
    pd.DataFrame({"query": [0], "length": [1]}).to_parquet(folder / "l2.hits.parquet")


SMALL = {"features": {"n_mels": 64}, "model": {"width": 4}, "dim": 16}


@pytest.mark.parametrize(
    "make, read, damaged",
    [
        (packed, lambda folder: Split.open(folder / "split.npy"), "split.npy"),
        (packed, lambda folder: Split.open(folder / "split.npy"), "split.csv"),
        (weights, lambda folder: load_model(folder / "weights.safetensors", **SMALL), "weights.safetensors"),
        (shards, lambda folder: write_manifest(folder / "all.json", [folder / "0.npy", folder / "1.npy"]), "1.npy"),
        (cell, lambda folder: load_cells([folder / "l2.json"]), "l2.json"),
        (cell, lambda folder: read_hits(folder / "l2.hits.parquet"), "l2.hits.parquet"),
    ],
)
def test_a_damaged_result_is_named(tmp_path, make, read, damaged):
    make(tmp_path)
    path = tmp_path / damaged
    path.write_bytes(path.read_bytes()[: 40 if damaged.endswith("npy") else 0])
    with pytest.raises(UserError, match=f"{damaged}: cannot be read, it is damaged or missing .*; delete it and run"):
        read(tmp_path)


def test_a_wav_file_that_was_cut_is_named(tmp_path):
    path = write(tmp_path / "a.wav", seconds=1)
    path.write_bytes(path.read_bytes()[:9044])
    with pytest.raises(
        UserError, match="a.wav: truncated: the header declares 8000 samples, the file holds 4500; restore"
    ):
        read_wav(path)


@pytest.mark.parametrize("bug", [KeyError("a"), IndexError(), TypeError(), AttributeError(), ZeroDivisionError()])
def test_a_bug_of_ours_is_not_a_damaged_file(tmp_path, bug):
    with pytest.raises(type(bug)), damaged_file_errors(tmp_path / "a.npy"):
        raise bug


@pytest.mark.parametrize(
    ("content", "reason"), [("[1]", "not a JSON object"), ('{"a": 1}', "no b, c in it"), ('{"a"', "Expecting")]
)
def test_json_without_what_it_should_hold_is_damaged(tmp_path, content, reason):
    path = tmp_path / "facts.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"facts.json: cannot be read, it is damaged or missing .*{reason}"):
        read_json(path, "a", "b", "c")
    path.write_text('{"a": 1, "b": 2, "c": 3}')
    assert read_json(path, "a")["c"] == 3


def test_a_file_is_not_damaged_because_memory_ran_out(tmp_path):
    with pytest.raises(MemoryError), damaged_file_errors(tmp_path / "a.npy"):
        raise MemoryError
