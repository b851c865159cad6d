"""Errors that a user can mend."""


class UserError(Exception):
    """Something in the user's hands is wrong; the message is one sentence: what, where, and how to mend it."""
