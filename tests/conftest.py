"""Fixtures that several test files use, marks by folder, and what holds for all tests."""

import os
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests compute on the CPU everywhere; what a GPU does, benchmarks/gpu.py shows
# Threads that wait for each other sleep: on cores that are busy with other tests, spinning takes six times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: tests/unit/test_kernels.py

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402
from workflow import edited, finished  # noqa: E402

__all__ = ["edited", "finished"]

settings.register_profile("any machine", deadline=None)  # a slow machine is no error
settings.load_profile("any machine")

FOLDERS = ("workflow", "system", "unit")  # the longest first, so that of several processes none has one left at the end


def folder_of(item: pytest.Item) -> str:
    """The folder of tests/ that a test is in, which is a mark of it too: pytest -m unit."""
    return item.path.relative_to(Path(__file__).parent).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests, and sort their files: while one process makes the finished experiment, the next ones need not wait for it."""
    for item in items:
        item.add_marker(folder_of(item))
    waiting = {item.path for item in items if "finished" in getattr(item, "fixturenames", ())}
    items.sort(
        key=lambda item: (FOLDERS.index(folder_of(item)), item.path.name != "test_workflow.py", item.path in waiting)
    )
