"""Errors that a user can fix."""

from nafp.secrets import hidden


class UserError(Exception):
    """A mistake that the user can fix; the message is one sentence, without secrets: what, where, and how to fix it."""

    def __init__(self, message: str):
        super().__init__(hidden(message))
