"""Passwords and tokens are not said, not shown and not stored, wherever an address is."""

import json

import pytest
import yaml
from boards import FIELDS, write_grid
from indexes import OPTIONS, vectors
from workflow import ROOT

from nafp.config import overlay
from nafp.config.check import check_config
from nafp.console import tee_to_log
from nafp.errors import UserError
from nafp.report.page import provenance
from nafp.report.tables.cells import load_cells
from nafp.search.index import build_index
from nafp.search.vectors import Database
from nafp.secrets import hidden, without_secrets

ADDRESSES = [  # URL with a secret -> without
    ("http://user:hunter2@host:19530", "http://***@host:19530"),
    ("https://hunter2@host/a", "https://***@host/a"),
    ("http://user:p/a?hunter2#@host", "http://***@host"),
    ("socks5://u:hunter2@proxy:1080,", "socks5://***@proxy:1080,"),
    ("http://host/a?x=1&token=hunter2&y=2", "http://host/a?x=1&token=***&y=2"),
    ("see 'https://h/?X-Amz-Signature=hunter2', it", "see 'https://h/?X-Amz-Signature=***', it"),
    ("https://h/#access_token=hunter2 and https://u:hunter2@h", "https://h/#access_token=*** and https://***@h"),
    ("HTTPS://H/?API_KEY=hunter2", "HTTPS://H/?API_KEY=***"),
]
PLAIN = ["https://drive.google.com/uc?id=1-2_3", "mail me@host", "a.wav: 3:4@5", "https://h/a, b@c", "x?token=1", ""]


@pytest.mark.parametrize("text, said", ADDRESSES)
def test_secrets_of_addresses(text, said):
    assert hidden(text) == said
    assert str(UserError(f"{text} cannot be had")) == f"{said} cannot be had"


@pytest.mark.parametrize("text", PLAIN)
def test_what_holds_no_secret_stays(text):
    assert hidden(text) == text


def test_secrets_of_a_config_and_of_the_environment(monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", "root:hunter2")
    config = {
        "search": {"password": "hunter2", "k": 3, "uri": [ADDRESSES[0][0]]},
        "token": None,
        "why": "root:hunter2!",
    }
    shown = {"search": {"password": "***", "k": 3, "uri": [ADDRESSES[0][1]]}, "token": None, "why": "***!"}
    assert without_secrets(config) == shown
    whole = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert without_secrets(whole) == whole


def test_everything_that_a_job_prints(tmp_path, capsys):
    """Its own lines, and the traceback of a library that repeats an address."""
    with pytest.raises(SystemExit), tee_to_log(tmp_path / "log"):
        print("asking", "http://user:hunter2@host")
        raise RuntimeError("no answer from http://user:hunter2@host?token=hunter2")
    shown = "".join(capsys.readouterr()) + (tmp_path / "log").read_text()
    assert "hunter2" not in shown
    assert "no answer from http://***@host?token=***" in shown


def test_a_config_that_is_refused():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config = overlay.with_changes(config, {"indexes": {"milvus": {"uri": "http://user:hunter2@host"}}})
    with pytest.raises(UserError, match="http://\\*\\*\\*@host.*MILVUS_TOKEN") as refused:
        check_config(config, ROOT)
    assert "hunter2" not in str(refused.value)


def test_a_server_that_does_not_answer(tmp_path):
    options = OPTIONS["milvus"] | {"uri": "http://user:hunter2@localhost:1?token=hunter2"}
    with pytest.raises(UserError, match="milvus at http") as refused:
        build_index("milvus", options, Database(vectors(0, 10), vectors(1, 5)), tmp_path / "milvus")
    assert "hunter2" not in str(refused.value)


def test_the_page_shows_no_secret(tmp_path):
    paths = write_grid(tmp_path, [FIELDS], ["l2"], queries=10)
    config = {"search": {"seed": 0}, "indexes": {"milvus": {"uri": "http://host?token=hunter2"}}}
    shown = provenance.collect(config, load_cells(paths), tmp_path / "benchmarks", tmp_path / "v.json", 1)
    assert "hunter2" not in json.dumps(shown)
    assert shown["config"]["indexes"] == {"milvus": {"uri": "http://host?token=***"}}
