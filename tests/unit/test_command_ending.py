"""How commands end: a status, and one sentence for a mistake of the user's."""

from argparse import Namespace
from importlib import import_module

import pytest

from nafp.commands import COMMANDS, run_command
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


def test_what_main_returns_is_the_status(monkeypatch):
    assert ending(monkeypatch, "plan", status=None) is None
    assert ending(monkeypatch, "identify", status=1) == 1
