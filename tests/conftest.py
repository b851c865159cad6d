"""Fixtures that several test files use, and what holds for all tests."""

import os

os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests compute on the CPU everywhere; what a GPU does, benchmarks/gpu.py shows
os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: tests/unit/test_kernels.py

from hypothesis import settings  # noqa: E402
from workflow import edited, finished  # noqa: E402

__all__ = ["edited", "finished"]

settings.register_profile("any machine", deadline=None)  # a slow machine is no error
settings.load_profile("any machine")
