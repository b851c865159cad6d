"""What a person types: ``nafp identify``, ``compare``, ``plan``, ``power``; not installed, ``python scripts/identify.py``, ..."""

import sys
from importlib import import_module

COMMANDS = {
    "identify": "find which song a recording is",
    "compare": "tell which cells of two result folders differ beyond chance",
    "plan": "say what a target would cost, before anything runs",
    "power": "say how many test songs a difference needs to be seen",
}


def main() -> None:
    """The command ``nafp``."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name not in COMMANDS:
        lines = [f"  {command:10} {what}" for command, what in COMMANDS.items()]
        print("usage: nafp COMMAND ...; nafp COMMAND --help says more", *lines, sep="\n")
        sys.exit(0 if name in ("-h", "--help") else f"error: nafp {name}: unknown command")
    sys.argv = [f"nafp {name}", *sys.argv[2:]]
    import_module(f"nafp.commands.{name}").command()
