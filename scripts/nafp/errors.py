"""Errors that a user can mend."""

from nafp.secrets import hidden


class UserError(Exception):
    """Something in the user's hands is wrong; the message is one sentence, without secrets: what, where, and how to mend it."""

    def __init__(self, message: str):
        super().__init__(hidden(message))
