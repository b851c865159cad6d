"""Fixtures that several test files use."""

from workflow import edited, finished

__all__ = ["edited", "finished"]
