"""Weights that somebody else trained: from a local server that behaves as Zenodo does, failures included, to a run."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from archives import zipped
from bundles import DIM, write_original
from zenodo_server import RECORD, zenodo

import nafp
from nafp.datasets import download as download_module
from nafp.errors import UserError
from nafp.model.original_weights import import_original
from nafp.pretrained.checks import check_licence, check_source
from nafp.pretrained.obtain import import_pretrained, newest_checkpoint, obtain


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(download_module, "WAIT_S", 0.001)
    monkeypatch.setattr(download_module, "BLOCK", 10_000)


@pytest.fixture
def archive(tmp_path) -> bytes:
    """A zip with a model of NMFP in it, as its authors packed theirs: the last checkpoint and an older one, a config."""
    folder = tmp_path / "packed"
    files = {"nmfp-triplet/config.yaml": b"MODEL: {}\n"}
    for number in (9, 100):
        prefix = write_original(folder / f"ckpt-{number}", norm=True)
        for path in folder.glob(f"{prefix.name}.*"):
            files[f"nmfp-triplet/checkpoint/{path.name}"] = path.read_bytes()
    return zipped(tmp_path / "model.zip", files).read_bytes()


def options_of(remote, content: bytes, **more) -> dict:
    md5 = hashlib.md5(content).hexdigest()
    return {"record": RECORD, "md5": md5, "api": f"{remote.api}/api/records", "licence": "AGPL-3.0", **more}


def outputs_in(folder: Path) -> dict[str, Path]:
    names = {"last": "epoch=last.safetensors", "best": "epoch=best.safetensors"}
    return {
        key: folder / name for key, name in {**names, "config": "config.yaml", "provenance": "provenance.json"}.items()
    }


def test_from_a_record_to_a_run(archive, tmp_path):
    outputs = outputs_in(tmp_path / "run")
    with zenodo(archive, faults=["cut:20000", 503, ""]) as remote:
        import_pretrained("theirs", options_of(remote, archive), tmp_path / "store", outputs, {"commit": "abc"})
        asked = [request["Range"] for request in remote.asked if request["Range"]]
        again = import_pretrained("theirs", options_of(remote, archive), tmp_path / "store", outputs, {"commit": "abc"})
        assert again is None and len([r for r in remote.asked if r["path"].endswith("/content")]) == 4
    assert asked == ["bytes=20000-"]  # the broken download went on
    model = nafp.load(tmp_path / "run")
    assert model.dim == DIM and model.fingerprint(np.zeros(12_000, np.int16)).shape == (2, DIM)
    assert yaml.safe_load(outputs["config"].read_text())["features"]["scale"] == "db80"
    (job,) = json.loads(outputs["provenance"].read_text())["jobs"]
    assert (job["commit"], job["checkpoint"], job["licence"]) == ("abc", "ckpt-100", "AGPL-3.0")
    assert outputs["best"].read_bytes() == outputs["last"].read_bytes()


@pytest.mark.parametrize(
    "faults, says",
    [
        (
            {"api_faults": [503]},
            r"/15719945: cannot be asked \(503 .*\); try again later, or download the file elsewhere",
        ),
        ({"faults": [404]}, "model.zip: cannot be downloaded .404"),
        (
            {"faults": ["cut:20000", *["cut:0"] * 60]},
            "model.zip: cannot be downloaded .* bytes are kept, run the same command to go on",
        ),
        ({"faults": [500] * 5}, "model.zip: cannot be downloaded .500"),
    ],
)
def test_a_server_that_fails(archive, tmp_path, faults, says):
    with zenodo(archive, **faults) as remote, pytest.raises(UserError, match=says):
        obtain("theirs", options_of(remote, archive), tmp_path / "store")


def test_no_server_at_all(archive, tmp_path):
    with zenodo(archive) as remote:
        options = options_of(remote, archive)
    with pytest.raises(UserError, match="cannot be asked .no answer that is one.; try again later, or download"):
        obtain("theirs", options, tmp_path / "store")


def test_another_file_than_expected(archive, tmp_path):
    with zenodo(archive) as remote:
        with pytest.raises(UserError, match="has no file with MD5 1111.*, but other.zip .*, model.zip"):
            obtain("theirs", options_of(remote, archive, md5="1" * 32), tmp_path / "store")
        options = options_of(remote, archive)
        path = tmp_path / "store/theirs.zip"
        path.parent.mkdir()
        path.write_bytes(b"old")  # a file that is there and is not it is downloaded again
        assert obtain("theirs", options, tmp_path / "store").name == "ckpt-100"


def test_a_download_with_another_checksum_is_removed(archive, tmp_path, monkeypatch):
    def other(locate, path, name, room):
        path.write_bytes(b"other bytes")

    monkeypatch.setattr("nafp.pretrained.zenodo.download", other)
    with (
        zenodo(archive) as remote,
        pytest.raises(UserError, match="has MD5 .* and has been removed; run the same"),
    ):
        obtain("theirs", options_of(remote, archive), tmp_path / "store")
    assert not (tmp_path / "store/theirs.zip").exists()


def test_an_archive_of_the_user_is_never_deleted(archive, tmp_path):
    mine = tmp_path / "mine.zip"
    mine.write_bytes(archive)
    md5 = hashlib.md5(archive).hexdigest()
    assert obtain("theirs", {"archive": str(mine), "md5": md5}, tmp_path / "store").name == "ckpt-100"
    with pytest.raises(UserError, match="has MD5 .*, not 0000.*; it is another file, or damaged"):
        obtain("theirs", {"archive": str(mine), "md5": "0" * 32}, tmp_path / "store")
    assert mine.exists()


def test_an_archive_of_other_weights_takes_the_place_of_the_one_before(tmp_path):
    """Of the same names and sizes, then with a lower number: what is imported is what the archive holds."""
    archive, seen = tmp_path / "theirs.zip", []
    for number, seed in ((100, 0), (100, 1), (80, 2)):
        prefix = write_original(tmp_path / f"{seed}/ckpt-{number}", norm=True, seed=seed)
        zipped(archive, {path.name: path.read_bytes() for path in sorted(prefix.parent.iterdir())})
        outputs = outputs_in(tmp_path / "run")
        import_pretrained("theirs", {"archive": str(archive)}, tmp_path / "store", outputs, {})
        expected = tmp_path / f"{seed}.safetensors"
        import_original(prefix, expected)
        assert outputs["last"].read_bytes() == expected.read_bytes()
        seen.append(outputs["last"].read_bytes())
        assert json.loads(outputs["provenance"].read_text())["jobs"][0]["checkpoint"] == f"ckpt-{number}"
    assert len(set(seen)) == 3
    assert len(list((tmp_path / "store/theirs").iterdir())) == 2  # the last one's files and their journal


def test_which_checkpoint(tmp_path):
    with pytest.raises(UserError, match="holds no TensorFlow checkpoint"):
        newest_checkpoint(tmp_path)
    for name in ("a/ckpt-9", "a/ckpt-10", "b/ckpt-1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.index").touch()
    assert newest_checkpoint(tmp_path / "a") == tmp_path / "a/ckpt-10"
    with pytest.raises(UserError, match="holds checkpoints of several models .*name one: checkpoint"):
        newest_checkpoint(tmp_path)


def test_what_is_refused_before_anything_runs(tmp_path):
    theirs = {"record": RECORD, "md5": "0" * 32, "licence": "AGPL-3.0"}
    check_licence("theirs", theirs, ["AGPL-3.0"])
    check_licence("mine", {"checkpoint": "x"}, [])
    with pytest.raises(UserError, match="under AGPL-3.0 .*15719945.*say so: --config accept_licence=AGPL-3.0"):
        check_licence("theirs", theirs, [])
    for options, says in (
        ({}, "say where they are"),
        ({"record": 7}, "md5 is missing"),
        ({"weights": "composed", "features": {"max_scope": "segment"}, "md5": "0"}, "features and md5 cannot be given"),
        ({"archive": str(tmp_path / "no.zip")}, "no.zip is not there"),
        ({"checkpoint": str(tmp_path / "ckpt-1")}, "ckpt-1.index is not there; name a checkpoint by its prefix"),
    ):
        with pytest.raises(UserError, match=says):
            check_source("theirs", options)
