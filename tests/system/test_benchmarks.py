"""Benchmarks are not timed here; each starts and says how it is used, so that none is left behind by a move."""

import os
import subprocess
import sys

import pytest
from workflow import ROOT


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_starts(path):
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'tests/support'}"}
    done = subprocess.run(
        [sys.executable, path, "--help"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout
