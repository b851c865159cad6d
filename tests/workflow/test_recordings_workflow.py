"""Real recordings as a data set: from a made-up copy of a publisher's layout to the table, without training anything."""

import json

import numpy as np
import pandas as pd
import recordings
import yaml
from recordings import song
from workflow import copy_project, snakemake

from nafp.audio.wav import write_wav
from nafp.datasets.layout import SPLITS

QUIET = dict.fromkeys(("table3", "ablation_augmentation", "ablation_batch", "index_types", "song_level"))


def config_of(folder, name: str, source: str, **study) -> str:
    """A config with one study of this data set, answered by a CSV."""
    dataset = {"name": name, "source": source, "folder": f"sets/{source}", "distractors": "others"}
    config = {
        "dataset": dataset,
        "search": {"lengths": [3, 9]},
        "methods": {"theirs": {"type": "answers", "file": f"{name}.csv"}},
        "studies": QUIET | {"real": {"method": "theirs", **study}},
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return f"{name}.yaml"


def test_recordings_are_answered_and_scored(tmp_path):
    """By phone, where places count, and of a montage, where only songs do; what would have to be trained is refused."""
    folder = copy_project(tmp_path / "project")
    recordings.sd_rr(folder / "sets/sd-rr")
    recordings.pex(folder / "sets/pex")
    write_wav(folder / "others/a.wav", song(70, 12))
    phone, montage = (
        config_of(folder, "phone", "sd-rr"),
        config_of(folder, "montage", "pex", matches=["song", "open set"]),
    )
    hits = {}
    for name, config in (("phone", phone), ("montage", montage)):
        done = snakemake(folder, "list_queries", config=config)
        assert done.returncode == 0, done.stdout[-3000:]
        results = folder / f"results/{name}"
        asked = pd.read_csv(results / "exchange/queries.csv")
        clips = pd.read_csv(results / "data/packed/test_query.csv").set_index("path").loc[asked["query"]]
        begin = clips["song_start_s"].fillna(0).to_numpy() + asked["start_s"].to_numpy()
        right = asked.assign(rank=1, song=clips["song"].to_numpy(), offset_s=begin, score=1.0)
        other = asked.assign(rank=2, song=f"{SPLITS['dummy']}/distractors/a.wav.wav", offset_s=0, score=0.5)
        pd.concat([right, other]).to_csv(folder / f"{name}.csv", index=False)
        done = snakemake(folder, config=config)
        assert done.returncode == 0, done.stdout[-3000:]
        cell = json.loads((results / "scores/method=theirs/answers.json").read_text())
        hits[name] = {column: np.array(found) / cell["queries"] for column, found in cell["hits"].items()}
        assert cell["songs"] == 2 and "real" in (results / "scoreboard/index.html").read_text()
    assert all((rates == 1).all() for found in hits.values() for rates in found.values())
    assert set(hits["montage"]) == {"top1_song", "open_set"} and "top1_exact" in hits["phone"]
    refused = snakemake(folder, "models", "data", "-n", "--config", "studies={mine: {aug: full}}", config=phone)
    assert (
        refused.returncode != 0
        and "phone: has no split 'train': dataset.source: sd-rr is to evaluate with" in refused.stdout
    )
    scale = "results/montage/scores/pretrained=composed/epoch=last/l2.scale.csv"
    refused = snakemake(folder, scale, "-n", config=montage)
    assert "scale: the data set does not say where in their songs all of its queries are" in refused.stdout
    (folder / "sets/sd-rr/manifest.csv").unlink()
    refused = snakemake(folder, "data", "-n", "--config", "dataset={name: other}", config=phone)
    assert "dataset: sets/sd-rr/manifest.csv: is not there; the folder of SD-RR has manifest.csv" in refused.stdout
