"""Models that come with the library: how a run becomes one file, what the file says, and that the one that ships works."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from boards import write_cell
from safetensors.torch import load_file, save

import nafp
from nafp.config.overlay import with_changes
from nafp.demo.corpus import _song as composed
from nafp.errors import UserError
from nafp.identify.calibration import learned
from nafp.identify.job import limits_of, model_of
from nafp.identify.windows import Limits
from nafp.model.model import build_model
from nafp.model.weights import load_initial, settings_of
from nafp.pretrained.checks import check_source
from nafp.pretrained.obtain import import_pretrained
from nafp.pretrained.ship import write_shipped
from nafp.report.card import write_card
from nafp.shipped import DEFAULT, limits_in, shipped, weights_file
from nafp.training.checks import check_init_from

ROOT = Path(__file__).parents[2]
SETTINGS = {
    **{"features": {"n_mels": 64}, "model": {"variant": "release", "width": 4}, "dim": 16, "seed": 0, "bsz": 16},
    **{"chain": [{"background": {}}], "loss": "ntxent", "loss_options": {"tau": 0.05}, "optimizer": {"name": "adam"}},
    **{"schedule": {"name": "cos", "epochs": 2}, "learning_rate": 1e-3, "precision": "float32", "data": {}},
}
LIMITS = {
    "unknown": {name: {"mean": 0.3, "sd": 0.05, "songs": 20} for name in ("clean", "degraded")},
    "windows": 3,
    "fingerprints": 4000,
}


def write_weights(path: Path, settings: dict | None = SETTINGS, scale: float = 1.0) -> Path:
    torch.manual_seed(0)
    model = build_model(SETTINGS["features"], SETTINGS["model"], SETTINGS["dim"])
    tensors = {name: (scale * tensor).contiguous() for name, tensor in model.state_dict().items()}
    path.write_bytes(save(tensors, {"settings": json.dumps(settings)} if settings else None))
    return path


@pytest.fixture
def packed(tmp_path) -> Path:
    write_shipped(write_weights(tmp_path / "run.safetensors"), LIMITS, tmp_path / "small.safetensors")
    return tmp_path / "small.safetensors"


def test_a_run_becomes_one_file(packed, tmp_path):
    """Half as large, with all that the run said and its calibration; its fingerprints are the run's up to float16."""
    source = tmp_path / "run.safetensors"
    assert packed.stat().st_size < 0.6 * source.stat().st_size
    assert settings_of(packed) == {**SETTINGS, "limits": LIMITS} and limits_in(packed) == LIMITS
    assert limits_in(source) is None
    again = tmp_path / "again.safetensors"
    assert write_shipped(source, LIMITS, again) == packed.stat().st_size and again.read_bytes() == packed.read_bytes()
    sound = np.random.default_rng(0).normal(0, 3000, 24_000).astype(np.int16)
    before, after = (nafp.load(path, device="cpu").fingerprint(sound) for path in (source, packed))
    assert np.abs(before - after).max() < 2e-3 and np.abs(before - after).max() > 0


def test_what_cannot_be_packed(tmp_path):
    with pytest.raises(UserError, match="does not say its settings"):
        write_shipped(write_weights(tmp_path / "a.safetensors", None), LIMITS, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="beyond 65504"):
        write_shipped(write_weights(tmp_path / "a.safetensors", scale=1e7), LIMITS, tmp_path / "b.safetensors")
    (tmp_path / "a.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0half")
    with pytest.raises(UserError, match="a.safetensors"):
        limits_in(tmp_path / "a.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_limits_are_those_that_the_weights_carry(packed, tmp_path):
    (tmp_path / "limits.json").write_text(json.dumps(LIMITS))
    there, said = learned(packed, 4000, 0.01, Limits())
    assert there == learned(tmp_path / "limits.json", 4000, 0.01, Limits())[0] and there.min_score > 0.3
    assert "learned from 20 validation songs" in said
    assert learned(tmp_path / "run.safetensors", 4000, 0.01, Limits())[0] == Limits()


def test_limits_that_weights_carry_go_before_those_beside_them(packed, tmp_path):
    """A file beside them may be of other weights that were there before."""
    task = SimpleNamespace(false_positives=0.01, limits=Limits())
    other = {kind: one | {"mean": 0.8} for kind, one in LIMITS["unknown"].items()}
    for weights in (packed, tmp_path / "run.safetensors"):
        weights.with_suffix(".limits.json").write_text(json.dumps(LIMITS | {"unknown": other}))
    assert limits_of(task, packed, 4000)[0].min_score < 0.5
    assert limits_of(task, tmp_path / "run.safetensors", 4000)[0].min_score > 0.8
    (tmp_path / "run.limits.json").unlink()
    assert limits_of(task, tmp_path / "run.safetensors", 4000)[0] == Limits()


def test_a_file_of_weights_becomes_a_run(packed, tmp_path):
    files = {
        "last": "epoch=last.safetensors",
        "best": "epoch=best.safetensors",
        "config": "c.yaml",
        "provenance": "p.json",
    }
    outputs = {name: tmp_path / file for name, file in files.items()}
    import_pretrained("small", {"weights": str(packed)}, tmp_path, outputs, {"commit": "abc"})
    assert outputs["best"].read_bytes() == outputs["last"].read_bytes() == packed.read_bytes()
    assert yaml.safe_load(outputs["config"].read_text()) == {
        name: SETTINGS[name] for name in ("features", "model", "dim")
    }
    assert json.loads(outputs["provenance"].read_text())["jobs"][0]["checkpoint"] == "small.safetensors"
    with pytest.raises(
        UserError, match="pretrained x: nowhere: is not there; name a file of weights .*, or a model that"
    ):
        check_source("x", {"weights": "nowhere"})


def test_a_damaged_file_of_the_user_is_not_to_be_deleted(tmp_path):
    """No command makes it again."""
    mine = tmp_path / "mine.safetensors"
    mine.write_bytes(b"\x10\0\0")
    for use in (
        lambda: import_pretrained("x", {"weights": str(mine)}, tmp_path, {"last": tmp_path / "last.safetensors"}, {}),
        lambda: check_init_from(str(mine), {}),
        lambda: nafp.load(mine),
        lambda: model_of(SimpleNamespace(run=str(mine))),
    ):
        with pytest.raises(
            UserError, match=r"mine.safetensors: cannot be read, .*\); copy it there again, or name another file$"
        ):
            use()
    mine.rename(tmp_path / "epoch=best.safetensors")
    with pytest.raises(UserError, match="delete it and run the same command again"):
        nafp.load(tmp_path)


JOB = {"processor": "P", "threads": 1, "device": "CPU", "commit": "abc", "changed": False, "date": "2026-11-27"}
FACTS = {
    **{"data": "Songs.", "composed": True, "epoch": "last", "epochs": 2, "segments": "1,000", "hours": "0.5"},
    "jobs": [JOB],
}


def card_of(weights: Path, cells: Sequence[Path] = (), name: str = "small", **facts) -> str:
    """The card of a file of weights, by FACTS and others in their place."""
    path = weights.with_suffix(".md")
    write_card(weights, name, FACTS | facts, cells, path)
    return path.read_text()


def test_a_card_states_what_was_measured(packed, tmp_path):
    cell = write_cell(tmp_path, {}, skill=0.5)
    said = card_of(packed, [cell])
    hits = json.loads(cell.read_text())["hits"]
    for column in ("top1_exact", "top1_near", "top1_song", "open_set"):
        for count in hits[column]:
            assert f"| {count / 5:.1f} [" in said
    assert "degraded 0.430 (20 songs)" in said and "Seed 0, N = 16" in said and "- background: {}" in said


def test_a_card_has_cells_whose_places_are_not_known(packed, tmp_path):
    """Of annotated recordings without places only the right song is counted."""
    path = write_cell(tmp_path, {}, skill=0.5)
    stated = json.loads(path.read_text())
    stated["hits"] = {name: stated["hits"][name] for name in ("top1_song", "open_set")}
    path.write_text(json.dumps(stated | {"mrr": None, "offset_ms": None}))
    rows = re.findall(r"^\| 1 s +\|(.*)\|$", card_of(packed, [path]), flags=re.MULTILINE)
    assert [cell.strip()[:1] for cell in rows[0].split("|")][:2] == ["–", "–"] and "[" in rows[0]


def test_a_card_says_what_holds_for_this_model(packed, tmp_path):
    """Of music that a program composed, of weights that come with the library, and of anybody's."""
    composed, ours = card_of(packed), card_of(packed, name=DEFAULT)
    assert "Trained on composed music" in composed and "The licence is that of the pipeline." in composed
    assert f'nafp.load("{packed}")' in composed and f"`pretrained: {{small: {{weights: {packed}}}}}`" in composed
    assert f'nafp.load("{DEFAULT}")' in ours and f"`pretrained={DEFAULT}`.\n" in ours
    others = card_of(packed, name=DEFAULT, composed=False)
    assert (
        "omposed music" not in others and "licence is that" not in others and "The licence is not stated yet" in others
    )
    assert f'nafp.load("{packed}")' in others


def test_a_card_says_how_the_weights_came_about(packed, tmp_path):
    said = card_of(packed)
    assert "float32, 2 epochs of 1,000 segments" in said and "The weights are those after the last epoch." in said
    assert "init_from" not in said
    source = write_weights(tmp_path / "source.safetensors", SETTINGS | {"init_from": DEFAULT, "lr_bsz": 8})
    write_shipped(source, LIMITS, tmp_path / "begun.safetensors")
    jobs = [JOB | {"precision": "bfloat16"}, JOB | {"precision": "float32"}]
    said = card_of(tmp_path / "begun.safetensors", epoch="best", epochs=1, jobs=jobs)
    assert "bfloat16, then float32, 1 epoch, of the 2 of the schedule, of 1,000 segments" in said
    assert (
        "those of the epoch that validated best" in said and f"init_from: {DEFAULT}\n" in said and "lr_bsz: 8\n" in said
    )
    assert "those after epoch 7." in card_of(packed, epoch="7")


def test_the_model_that_comes_with_the_library():
    """It is small, says everything, has its card, and knows composed songs that it never heard by three noisy seconds."""
    path = shipped()[DEFAULT]
    assert weights_file(DEFAULT) == path and path.stat().st_size <= 5e6
    assert limits_in(path)["unknown"].keys() == {"clean", "degraded"}
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{path.stat().st_size / 1e6:.1f} MB of weights" in card and "## Limits" in card
    model = nafp.load(device="cpu")
    rng = np.random.default_rng(7)
    songs = [np.round(32767 * composed(10.0, np.random.default_rng((99, 15, i)), i)).astype(np.int16) for i in range(8)]
    library = {str(i): model.fingerprint(song) for i, song in enumerate(songs)}
    for i, song in enumerate(songs):
        part = song[17_000:41_000].astype(float)
        noisy = part + rng.normal(0, part.std() / 2, len(part))  # 6 dB
        best = nafp.find(library, model.fingerprint((noisy / 2).astype(np.int16))).iloc[0]
        assert (best["song"], best["offset_s"]) == (str(i), 2.0)


def model_of_config(name: str) -> dict:
    """Features, model and dim of the default config under one of ``config/``."""
    base, over = (yaml.safe_load((ROOT / file).read_text()) for file in ("config.yaml", f"config/{name}.yaml"))
    config = with_changes(base, over)
    return {"features": config["features"], "model": config["model"], "dim": config["run"]["dim"]}


def test_its_config_makes_it():
    """A change of ``config/composed.yaml`` goes with new weights."""
    stated = settings_of(shipped()[DEFAULT])
    assert model_of_config("composed") == {name: stated[name] for name in ("features", "model", "dim")}


def test_a_config_that_begins_with_it_is_of_the_same_model():
    check_init_from(DEFAULT, model_of_config("corpus-cpu"))


def test_its_card_states_its_settings():
    path = shipped()[DEFAULT]
    stated = settings_of(path)
    (block,) = re.findall(r"```yaml\n(.*?)```", path.with_suffix(".md").read_text(encoding="utf-8"), re.DOTALL)
    recipe = yaml.safe_load(block)
    assert recipe.keys() >= {"features", "model", "chain", "loss", "schedule", "optimizer", "data"}
    assert recipe == {name: stated[name] for name in recipe}


def test_a_training_begins_with_it():
    """In float32, the float16 numbers of the file."""
    stated = settings_of(shipped()[DEFAULT])
    model = build_model(stated["features"], stated["model"], stated["dim"])
    load_initial(model, weights_file(DEFAULT))
    halves = load_file(shipped()[DEFAULT])
    assert all(torch.equal(tensor, halves[name].float()) for name, tensor in model.state_dict().items())


def test_a_source_that_is_not_there():
    with pytest.raises(UserError, match=f"compose: is not there; .* comes with nafp: {DEFAULT}"):
        nafp.load("compose")
