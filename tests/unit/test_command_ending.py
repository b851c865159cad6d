"""How commands end: a status, and one sentence for a mistake of the user's."""

import os
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import pytest

from nafp.commands import COMMANDS, identify, run_command
from nafp.errors import UserError


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
    "option, wrong, what",
    [
        *(
            ("--false-positives", text, "a share between 0 and 1, such as 0.01 for 1 %")
            for text in ("0", "1", "5", "nan")
        ),
        *(("--min-score", text, "a score, which is from -1 to 1") for text in ("70", "nan", "high")),
        *(("--min-margin", text, "a difference of scores, which is from 0 to 2") for text in ("-0.1", "inf")),
        *(("--windows", text, "a whole number from 1 on") for text in ("0", "2.5")),
        *(("--exact-up-to", "-1", "a whole number from 0 on"), ("--threads", "0", "a whole number from 1 on")),
    ],
)
def test_limits_that_make_no_sense_are_refused(monkeypatch, capsys, option, wrong, what):
    monkeypatch.setattr(sys, "argv", ["nafp identify", "--library", "songs", f"{option}={wrong}", "x.wav"])
    with pytest.raises(SystemExit) as end:
        identify.arguments()
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: argument {option}: {wrong!r} is not {what}\n")


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
