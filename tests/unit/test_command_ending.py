"""How commands end: a status, and one sentence for a mistake of the user's."""

import math
import os
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest

from nafp.commands import COMMANDS, identify, run_command
from nafp.config.schema import schema_problems
from nafp.errors import UserError
from nafp.identify.options import Options, options_in
from nafp.yaml_text import parse_yaml

ROOT = Path(__file__).parents[2]
CONFIG = parse_yaml((ROOT / "config.yaml").read_text(encoding="utf-8"))


def ending(monkeypatch, name: str, raised: Exception | None = None, status: int | None = None) -> int | None:
    """The exit status of a command whose main raises or returns this."""

    def main(options: Namespace) -> int | None:
        if raised:
            raise raised
        return status

    command = import_module(f"nafp.commands.{name}")
    monkeypatch.setattr(command, "arguments", Namespace)
    monkeypatch.setattr(command, "main", main)
    with pytest.raises(SystemExit) as end:
        run_command(name)
    return end.value.code


@pytest.mark.parametrize("name", COMMANDS)
def test_a_mistake_is_one_sentence(monkeypatch, capsys, name):
    assert ending(monkeypatch, name, UserError("a\nb: is wrong")) == (2 if name == "identify" else 1)
    assert capsys.readouterr().err == "error: a\\nb: is wrong\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_pipe_is_no_traceback(monkeypatch, capsys, name):
    assert ending(monkeypatch, name, BrokenPipeError()) == (2 if name == "identify" else 1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_of_the_system_is_one_sentence(monkeypatch, capsys, name):
    status = 2 if name == "identify" else 1
    assert ending(monkeypatch, name, PermissionError(13, "Permission denied", "/a\nb")) == status
    assert ending(monkeypatch, name, OSError(28, "No space left on device")) == status
    assert ending(monkeypatch, name, TimeoutError("timed out")) == status
    said = ["/a\\nb: Permission denied", "No space left on device", "timed out"]
    assert capsys.readouterr().err.splitlines() == [f"error: {sentence}" for sentence in said]


def test_an_error_of_ours_is_not_taken_for_an_answer(monkeypatch, capsys):
    assert ending(monkeypatch, "identify", RuntimeError("a bug")) == 2
    assert capsys.readouterr().err.endswith("RuntimeError: a bug\n")


@pytest.mark.parametrize("name, package, status", [("identify", "faiss", 2), ("power", "pandas", 1)])
def test_a_missing_package_is_one_sentence(name, package, status):
    """As in an environment without the extra [commands]."""
    said = f"import sys; sys.modules[{package!r}] = None; from nafp.commands import run_command; run_command({name!r})"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    done = subprocess.run([sys.executable, "-c", said], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "")
    (sentence,) = done.stderr.splitlines()
    assert package in sentence and sentence.endswith("pip install -e '.[commands]'")


def test_a_missing_reader_is_one_sentence_and_a_bug_is_none(monkeypatch, capsys):
    assert ending(monkeypatch, "power", ImportError("Unable to find a usable engine")) == 1
    way_out = "install what nafp power needs:  pip install -e '.[commands]'\n"
    assert capsys.readouterr().err == f"error: Unable to find a usable engine; {way_out}"
    assert ending(monkeypatch, "identify", ModuleNotFoundError("No module named 'nafp.x'", name="nafp.x")) == 2
    assert capsys.readouterr().err.startswith("Traceback")


@pytest.mark.parametrize(
    "option, wrong, bounds",
    [
        *(("--false-positives", text, "0 to 1, 0 and 1 excluded") for text in ("0", "1", "5")),
        *(("--min-score", "70", "-1 to 1"), ("--min-margin", "-0.1", "0 to 2"), ("--windows", "0", "1 to any")),
        *(("--exact-up-to", "-1", "0 to any"), ("--threads", "0", "1 to any")),
    ],
)
def test_limits_out_of_range_are_refused(monkeypatch, capsys, option, wrong, bounds):
    refused(monkeypatch, capsys, option, wrong, f"{wrong} is out of range; allowed: {bounds}")


@pytest.mark.parametrize(
    "option, wrong, what",
    [
        *(("--false-positives", text, f"{text} is not of type number") for text in ("nan", "inf")),
        *(("--min-score", text, f"{text!r} is not of type number or null") for text in ("high", "true", "")),
        *(("--windows", text, f"{text} is not of type integer") for text in ("2.5", "nan")),
    ],
)
def test_limits_that_are_no_numbers_are_refused(monkeypatch, capsys, option, wrong, what):
    refused(monkeypatch, capsys, option, wrong, what)


def refused(monkeypatch, capsys, option: str, wrong: str, what: str) -> None:
    """Asserts that the command refuses a value of an option, with a sentence."""
    monkeypatch.setattr(sys, "argv", ["nafp identify", "--library", "songs", f"{option}={wrong}", "x.wav"])
    with pytest.raises(SystemExit) as end:
        identify.arguments()
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument {option}: {what}\n")


@pytest.mark.parametrize(
    "key, wrong",
    [
        *(("false_positives", value) for value in (0, 1, 5, math.nan, "few")),
        *(("min_score", value) for value in (70, -1.5, math.inf, "high")),
        *(("min_margin", value) for value in (-0.1, 2.5)),
        *(("windows", value) for value in (0, 2.5)),
        ("exact_up_to", -1),
    ],
)
def test_config_and_command_refuse_in_the_same_words(monkeypatch, capsys, key, wrong):
    config = CONFIG | {"identify": CONFIG["identify"] | {key: wrong}}
    (problem,) = schema_problems(config, ROOT)
    refused(monkeypatch, capsys, f"--{key.replace('_', '-')}", str(wrong), problem.removeprefix(f"identify.{key}: "))


def test_the_config_has_the_defaults_of_the_command():
    assert options_in(CONFIG["identify"]) == Options()


def test_limits_at_their_ends_are_taken(monkeypatch):
    limits = ["--min-score=-1", "--min-margin=0", "--windows=1", "--exact-up-to=0", "--false-positives=1e-6"]
    monkeypatch.setattr(sys, "argv", ["nafp identify", "--library", "songs", *limits, "x.wav"])
    options = identify.arguments()
    assert (options.min_score, options.min_margin, options.windows, options.exact_up_to) == (-1, 0, 1, 0)
    assert options.false_positives == 1e-6


def test_a_table_that_cannot_be_written_is_known_before_the_work(monkeypatch, tmp_path):
    monkeypatch.setattr(identify, "run", lambda task: pytest.fail("worked"))
    (tmp_path / "file").touch()
    monkeypatch.setattr(
        sys, "argv", ["", "--library", "songs", "--matches", str(tmp_path / "file/matches.csv"), "x.wav"]
    )
    with pytest.raises(OSError, match="file"):
        identify.main(identify.arguments())


def test_what_main_returns_is_the_status(monkeypatch):
    assert ending(monkeypatch, "plan", status=None) is None
    assert ending(monkeypatch, "identify", status=1) == 1
