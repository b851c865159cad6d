"""Downloads from a local server that behaves as real ones do, failures included."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import requests
from kaggle_server import HANDLE, KEY, TOKEN, USER, Remote, serving

from nafp.datasets import download as download_module
from nafp.datasets import kaggle_api as kaggle_source
from nafp.datasets.download import download, fetch, partial_files, plain
from nafp.errors import UserError

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(download_module, "WAIT_S", 0.001)
    monkeypatch.setattr(download_module, "BLOCK", 10_000)


@pytest.fixture
def remote():
    with serving(Remote(DATA)) as running:
        yield running


def get(remote, path, **options):
    download(plain(remote.storage), path, "the archive", **options)


# ---------------------------------------------------------------- the test ids


def test_a_file_is_fetched_checked_and_not_fetched_twice(remote, tmp_path):
    for _ in range(2):
        fetch(remote.storage, SHA256, tmp_path / "deep/ids.npy")
    assert (tmp_path / "deep/ids.npy").read_bytes() == DATA
    assert remote.served == len(DATA)


@pytest.mark.parametrize(
    "faults, says",
    [
        ([404], "cannot be downloaded .404 Not Found.; download it elsewhere and name the file instead"),
        ([401], "cannot be downloaded .401 Unauthorized.; download it elsewhere"),
        ([403], "cannot be downloaded .403 Forbidden.; download it elsewhere"),
        ([500] * 5, "cannot be downloaded .500 Internal Server Error.; download it elsewhere"),
        ([429] * 5, "cannot be downloaded .429 Too Many Requests."),
        (["cut:0"] * 5, "cannot be downloaded .the connection was cut."),
        (["long:7"] * 5, "cannot be downloaded"),
        ([], "is not the expected file .SHA-256 .*, expected 00"),
    ],
)
def test_failures_leave_nothing(remote, tmp_path, faults, says):
    remote.faults = faults
    remote.etag = None if "long:7" in faults else remote.etag  # else the next attempt would not ask for anything
    with pytest.raises(UserError, match=says):
        fetch(remote.storage, "00", tmp_path / "ids.npy")
    assert not list(tmp_path.iterdir())


def test_no_server(tmp_path):
    with pytest.raises(UserError, match="cannot be downloaded .*Connection refused"):
        fetch("http://127.0.0.1:9/ids", "00", tmp_path / "ids.npy")


# ---------------------------------------------------------------- large files


@pytest.mark.parametrize(
    "faults", [[], ["cut:100000", "", "cut:50000"], [500, 503, ""], [429], ["cut:123456", 500, 502, "", "cut:1"]]
)
def test_a_passing_fault_costs_no_byte_twice(remote, tmp_path, faults):
    remote.faults = faults
    get(remote, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
    ranges = [int(ask["Range"][6:-1]) for ask in remote.asked if ask["Range"]]
    assert ranges == sorted(ranges)
    if any(str(fault).startswith("cut") for fault in faults):
        assert ranges[0] > 0


def test_what_came_is_kept_and_the_next_call_goes_on(remote, tmp_path, capsys):
    path, (part, _) = tmp_path / "a.zip", partial_files(tmp_path / "a.zip")
    remote.faults = ["cut:100000", *[500] * 5]
    with pytest.raises(UserError, match=r"500 Internal.*; 100,000 bytes are kept, run the same command to go on"):
        get(remote, path)
    assert part.read_bytes() == DATA[:100_000]
    assert not path.exists()
    assert "trying again" in capsys.readouterr().out
    remote.served = 0
    get(remote, path)
    assert path.read_bytes() == DATA
    assert remote.asked[-1]["Range"] == "bytes=100000-"


@pytest.mark.parametrize("change", ["etag", "length", "no tag"])
def test_another_object_is_not_glued_to_an_old_part(remote, tmp_path, change):
    path = tmp_path / "a.zip"
    remote.faults = ["cut:100000", *[500] * 5]
    remote.etag = None if change == "no tag" else remote.etag
    with pytest.raises(UserError):
        get(remote, path)
    remote.content = DATA[::-1] + (b"more" if change == "length" else b"")
    remote.etag = '"2"' if change == "etag" else remote.etag
    get(remote, path)
    assert path.read_bytes() == remote.content


@pytest.mark.parametrize("hashes", [("md5",), ("crc32c",), ("crc32c", "md5")])
def test_a_stated_hash_is_checked(remote, tmp_path, hashes):
    remote.hashes, remote.hashed = hashes, b"something else"
    says = f"checksum mismatch after download .{hashes[-1].upper()} .*, the server states .*; it was removed, run"
    with pytest.raises(UserError, match=says):
        get(remote, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())
    remote.hashed = None
    get(remote, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_crc32c_of_a_file(tmp_path):
    """The check value of this code (iSCSI, RFC 3720): of the digits 1 to 9."""
    (tmp_path / "x").write_bytes(b"123456789")
    assert download_module.hash_of(tmp_path / "x", "crc32c") == "e3069283"


def test_room_is_asked_for_before_anything_is_written(remote, tmp_path):
    def room(left):
        assert left == len(DATA)
        raise UserError("no room")

    with pytest.raises(UserError, match="no room"):
        get(remote, tmp_path / "a.zip", check_room=room)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- Kaggle


@pytest.fixture
def kaggle(remote, tmp_path, monkeypatch):
    """Kaggle's package, pointed at the server, with no credentials yet."""
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, remote.api)
    return remote


def key_file(tmp_path, text=f'{{"username": "{USER}", "key": "{KEY}"}}'):
    path = tmp_path / "home/.kaggle/kaggle.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(0o600)


def get_from_kaggle(path, handle=HANDLE):
    download(kaggle_source.locate(handle), path, f"kaggle {handle}")


def by_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLE_USERNAME", USER)
    monkeypatch.setenv("KAGGLE_KEY", KEY)


@pytest.mark.parametrize(
    "credentials",
    [
        by_variables,
        lambda tmp_path, monkeypatch: key_file(tmp_path),
        lambda tmp_path, monkeypatch: monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN),
    ],
    ids=["variables", "kaggle.json", "token"],
)
def test_kaggle_sends_on_to_its_storage(kaggle, tmp_path, monkeypatch, credentials):
    credentials(tmp_path, monkeypatch)
    kaggle.faults = ["", "cut:200000"]
    get_from_kaggle(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA
    stored = [ask for ask in kaggle.asked if "storage" in ask["path"]]
    assert stored
    assert not any(ask["Authorization"] for ask in stored)  # the key goes to Kaggle only


@pytest.mark.parametrize("given", ["nothing", "a wrong key", "a wrong token", "a file that is no JSON"])
def test_credentials_that_kaggle_does_not_take(kaggle, tmp_path, monkeypatch, capsys, given):
    if given == "a wrong key":
        by_variables(tmp_path, monkeypatch)
        monkeypatch.setenv("KAGGLE_KEY", "hunter2hunter2")
    if given == "a wrong token":
        monkeypatch.setenv("KAGGLE_API_TOKEN", "hunter2hunter2")
    if given == "a file that is no JSON":
        key_file(tmp_path, "hunter2hunter2")
    with pytest.raises(UserError, match=r"put kaggle.json into ~/.kaggle/, or set KAGGLE_USERNAME and KAGGLE_KEY") as e:
        get_from_kaggle(tmp_path / "a.zip")
    said = "".join(capsys.readouterr()) + str(e.value)
    assert "hunter2" not in said
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    "api_faults, faults, says",
    [
        ([403], [], "no permission to download mimbres/neural-audio-fingerprint .403.; accept its terms"),
        ([404], [], "there is no data set 'mimbres/neural-audio-fingerprint' .404."),
        ([500] * 5, [], "kaggle mimbres.*: cannot be downloaded .500"),
        ([], ["", 403], "kaggle mimbres.*: cannot be downloaded .403 Forbidden."),
    ],
)
def test_what_kaggle_refuses_is_said_in_a_sentence(kaggle, tmp_path, monkeypatch, capsys, api_faults, faults, says):
    by_variables(tmp_path, monkeypatch)
    kaggle.api_faults, kaggle.faults = api_faults, faults
    with pytest.raises(UserError, match=says) as error:
        get_from_kaggle(tmp_path / "a.zip")
    said = "".join(capsys.readouterr()) + str(error.value)
    assert KEY not in said
    assert "Signature" not in said  # an address that is signed is a key too


def test_kaggle_is_asked_again_when_it_is_busy(kaggle, tmp_path, monkeypatch):
    by_variables(tmp_path, monkeypatch)
    kaggle.api_faults = [429, 500]
    get_from_kaggle(tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_connection_errors_do_not_show_the_address():
    error = requests.ConnectionError("http://somewhere/?X-Goog-Signature=c0ffee")
    assert download_module.reason_of(error) == "the connection was cut"


# ---------------------------------------------------------------- killed

KILLED = """
import os, signal, sys
from pathlib import Path
from nafp.datasets import download
download.BLOCK = 10_000
room = []
class Bar:
    def __init__(self, *_, **__): self.count = 0
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def update(self, n):
        self.count += n
        if self.count >= 150_000:
            os.kill(os.getpid(), signal.SIGKILL)
download.tqdm = Bar
download.download(download.plain(sys.argv[1]), Path(sys.argv[2]), "it")
"""


def test_a_killed_download_goes_on(remote, tmp_path):
    path = tmp_path / "a.zip"
    scripts = Path(__file__).parents[2] / "scripts"
    command = [sys.executable, "-c", KILLED, remote.storage, str(path)]
    killed = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(scripts)})
    assert killed.returncode == -signal.SIGKILL
    kept = partial_files(path)[0].stat().st_size
    assert 0 < kept < len(DATA)
    get(remote, path)
    assert path.read_bytes() == DATA
    assert remote.asked[-1]["Range"] == f"bytes={kept}-"
