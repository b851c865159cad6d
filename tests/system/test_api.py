"""import nafp: a model in one line, fingerprints in another, and the song that they are of in a third."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from safetensors.torch import save_file

import nafp
from nafp.api import place_scores
from nafp.audio.open import read_any
from nafp.commands import main
from nafp.errors import UserError
from nafp.model.model import build_model

ROOT = Path(__file__).parents[2]
SETTINGS = {"features": {"n_mels": 64}, "model": {"encoder": "separable", "width": 4}, "dim": 16, "bsz": 8}


def music(seed: int, seconds: float, rate: int) -> np.ndarray:
    """Noises of half a second, each coloured otherwise."""
    rng = np.random.default_rng(seed)
    parts = [np.convolve(rng.normal(size=rate // 2), rng.normal(size=30), "same") for _ in range(int(2 * seconds))]
    return 0.3 * np.concatenate(parts) / np.abs(parts).max()


@pytest.fixture
def run(tmp_path):
    """The folder of a run, and a folder of three songs and a piece of one."""
    torch.manual_seed(0)
    weights = build_model(SETTINGS["features"], SETTINGS["model"], SETTINGS["dim"]).state_dict()
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    (tmp_path / "run").mkdir()
    save_file(weights, tmp_path / "run/epoch=best.safetensors", {"settings": json.dumps(SETTINGS)})
    for seed in range(3):
        sf.write(tmp_path / f"{seed}.flac", music(seed, 12, 44100), 44100)
    sf.write(tmp_path / "piece.wav", music(1, 12, 44100)[3 * 44100 : 8 * 44100], 44100)
    return tmp_path / "run"


def test_three_lines(run):
    model = nafp.load(run, device="cpu")
    songs = {str(seed): model.fingerprint(run.parent / f"{seed}.flac") for seed in range(3)}
    found = nafp.find(songs, model.fingerprint(str(run.parent / "piece.wav")))
    assert found["song"].iloc[0] == "1" and found["offset_s"].iloc[0] == 3 and found["score"].iloc[0] > 0.99
    assert found["score"].is_monotonic_decreasing and len(found) == 3
    assert songs["0"].shape == (23, model.dim) and model.settings["bsz"] == 8
    np.testing.assert_allclose(np.linalg.norm(songs["0"], axis=1), 1, rtol=1e-5)


def test_samples_files_and_weights_are_the_same_model(run):
    of_run, of_file = nafp.load(run, device="cpu"), nafp.load(run / "epoch=best.safetensors", device="cpu")
    path = run.parent / "piece.wav"
    np.testing.assert_array_equal(of_run.fingerprint(path), of_file.fingerprint(read_any(path)))


def test_scores_are_those_of_every_place_by_hand():
    rng = np.random.default_rng(0)
    song, query = rng.normal(size=(7, 4)), rng.normal(size=(3, 4))
    for place, score in enumerate(place_scores(song, query), start=-2):
        pairs = [(i, place + i) for i in range(3) if 0 <= place + i < 7]
        assert score == pytest.approx(sum(query[i] @ song[j] for i, j in pairs) / 3)


def test_a_song_without_fingerprints_is_passed_over():
    vectors = np.eye(4, dtype=np.float32)
    found = nafp.find({"empty": vectors[:0], "a": vectors, "nothing": np.zeros((0, 0))}, vectors[1:3])
    assert found[["song", "offset_s"]].values.tolist() == [["a", 0.5]]
    assert nafp.find({"empty": vectors[:0]}, vectors).columns.tolist() == ["song", "offset_s", "score"]


def test_what_is_not_there_or_no_sound_is_said(run):
    with pytest.raises(UserError, match="epoch=7.safetensors: is not there; name a file of weights"):
        nafp.load(run, 7)
    model = nafp.load(run, device="cpu")
    with pytest.raises(UserError, match=r"samples: an array of float64 \(100,\); they must be int16"):
        model.fingerprint(np.zeros(100))
    with pytest.raises(UserError, match="sound: a list; it must be the path of a file, or an array of samples"):
        model.fingerprint([1, 2, 3])
    with pytest.raises(UserError, match="query: no fingerprints"):
        nafp.find({}, np.zeros((0, 16)))
    with pytest.raises(UserError, match=r"query: an array \(16,\); fingerprints are \(m, d\)"):
        nafp.find({"a": np.eye(16)}, np.eye(16)[0])
    for song in (np.eye(8), np.eye(16)[0]):
        with pytest.raises(
            UserError, match=r"songs: a is an array \(.*\), the query \(3, 16\); both must be fingerprints"
        ):
            nafp.find({"a": song}, np.eye(16)[:3])
    with pytest.raises(AttributeError, match="has no attribute 'serach'"):
        nafp.serach  # noqa: B018


def test_importing_it_needs_nothing(tmp_path):
    said = "import sys, nafp; print({'find', 'load'} <= {*dir(nafp)}, 'torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", said], cwd=ROOT / "scripts", capture_output=True, text=True)
    assert done.stdout.strip() == "True False False", done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ([], 0, "identify   find which song a recording is"),
        (["serach"], 1, "error: nafp serach: unknown command"),
        (["plan", "--target", "nothing"], 1, "error: "),
        (["compare", "--help"], 0, "usage: nafp compare"),
        (["power", "a", "b"], 1, "error: a: no such cell"),
        (["identify"], 2, "the following arguments are required: --library"),
    ],
)
def test_the_command(arguments, status, says, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nafp", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    code = ended.value.code
    assert (code if isinstance(code, int) else 1) == status
    assert says in f"{said.out}{said.err}{code}"


def test_it_is_a_package(tmp_path):
    pytest.importorskip("setuptools", reason="setuptools is not installed here")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target"]
    source = tmp_path / "source"
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    done = subprocess.run([*command, tmp_path / "there", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    installed = {path.name for path in (tmp_path / "there").iterdir()}
    assert "nafp" in installed and (tmp_path / "there/nafp/report/page/page.html.j2").is_file()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "there")}
    done = subprocess.run([tmp_path / "there/bin/nafp", "identify", "--help"], capture_output=True, env=environment)
    assert done.returncode == 0 and b"usage: nafp identify" in done.stdout, done.stderr
    done = subprocess.run(
        [sys.executable, "-c", "import nafp; print(nafp.__file__, nafp.load)"],
        cwd=tmp_path / "there",
        capture_output=True,
    )
    assert done.returncode == 0 and str(tmp_path / "there") in done.stdout.decode()
