"""Errors that a user can fix."""

from nafp.secrets import hidden


def sentence_of(error: OSError) -> str:
    """Where a system error happened and what the system says of it, which is the clearest: disk full, no permission."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


class UserError(Exception):
    """A mistake that the user can fix; the message is one sentence, without secrets: what, where, and how to fix it."""

    def __init__(self, message: str):
        super().__init__(hidden(message))
