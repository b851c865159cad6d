"""Output of a rule's script: on the terminal, and in the rule's log file."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from nafp.errors import UserError, sentence_of
from nafp.secrets import hidden


class Tee:
    """A text stream that writes to a terminal and a log, without secrets; progress bars are redrawn on the terminal only."""

    def __init__(self, terminal: TextIO, log: TextIO):
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        text = hidden(text)
        if not text.startswith("\r"):
            self.log.write(text)
            self.log.flush()
        encoding = self.terminal.encoding or "utf-8"  # an encoding may lack characters of a file's name
        return self.terminal.write(text.encode(encoding, "backslashreplace").decode(encoding))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


@contextmanager
def tee_to_log(log: str | Path) -> Iterator[None]:
    """Run a script's work with its output copied to ``log``; a UserError ends it with one sentence, not a traceback."""
    with (
        open(log, "w", encoding="utf-8", errors="backslashreplace") as file,
        redirect_stdout(Tee(sys.stdout, file)),
        redirect_stderr(Tee(sys.stderr, file)),
    ):
        try:
            yield
            return
        except Exception as error:
            print(error_text(error), file=sys.stderr)
        sys.exit(1)


def error_text(error: Exception) -> str:
    """What to print of an error that ended the work: a sentence for a UserError or OSError, the traceback of a defect."""
    if isinstance(error, UserError):
        return f"error: {error}"
    if isinstance(error, OSError):
        return f"error: {sentence_of(error)}"
    return "".join(traceback.format_exception(error)).rstrip("\n")
