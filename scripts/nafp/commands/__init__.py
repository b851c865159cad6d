"""What a person types: ``nafp identify``, ``compare``, ...; not installed, ``python scripts/identify.py``, ...

A command is a module with ``arguments()``, which parses them, and ``main(options)``, which returns the exit status or None.
"""

import sys
import traceback
from importlib import import_module
from typing import NoReturn

from nafp.errors import UserError, sentence_of
from nafp.text import printable

COMMANDS = {
    "identify": "find which song a recording is",
    "compare": "tell which cells of two result folders differ beyond chance; side by side, or a history, on a page",
    "snapshot": "keep what a later scoreboard can be compared with, in small files",
    "plan": "say what a study, or all of them, will cost, before anything runs",
    "judge": "tell how well matches agree with annotations",
    "power": "say how many test songs a difference needs to be seen",
}
INSTALL = "pip install -e '.[commands]'"
ERROR_STATUS = {"identify": 2}  # as grep has it: 0 for a match, 1 for none; 1 of other commands


def main() -> None:
    """The command ``nafp``."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in COMMANDS:
        lines = [f"  {command:10} {what}" for command, what in COMMANDS.items()]
        print("usage: nafp COMMAND ...; nafp COMMAND --help says more", *lines, sep="\n")
        sys.exit(0 if name in ("-h", "--help") else f"error: nafp {name}: unknown command")
    sys.argv = [f"nafp {name}", *sys.argv[2:]]
    run_command(name)


def run_command(name: str) -> NoReturn:
    """Run one of COMMANDS and exit: an error is one sentence and the status that ERROR_STATUS says, 1 by default.

    An error of ours is a traceback, with the same status.
    """
    try:
        command = import_module(f"nafp.commands.{name}")
        sys.exit(command.main(command.arguments()))
    except UserError as problem:
        print(f"error: {printable(str(problem))}", file=sys.stderr)
    except BrokenPipeError:  # ``nafp compare ... | head``
        pass
    except OSError as problem:
        print(f"error: {printable(sentence_of(problem))}", file=sys.stderr)
    except Exception as problem:
        if isinstance(problem, ImportError) and not (problem.name or "").startswith("nafp"):
            print(f"error: {problem}; install what nafp {name} needs:  {INSTALL}", file=sys.stderr)
        else:
            traceback.print_exc()
    sys.exit(ERROR_STATUS.get(name, 1))
