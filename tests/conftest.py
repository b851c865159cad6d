"""Fixtures that several test files use, and what holds for all tests."""

from hypothesis import settings
from workflow import edited, finished

__all__ = ["edited", "finished"]

settings.register_profile("any machine", deadline=None)  # a slow machine is no error
settings.load_profile("any machine")
