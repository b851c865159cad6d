"""Benchmarks are not timed here; each starts and says how it is used, so that none is left behind by a move."""

import json
import os
import subprocess
import sys

import pytest
from workflow import ROOT

BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
START = """
import contextlib, io, json, runpy, sys, traceback
said = {}
sys.path.insert(0, "benchmarks")
for path in sys.argv[1:]:
    sys.argv, output = [path, "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        output.write(f"exit status {end.code}")
    except Exception:
        output.write(traceback.format_exc())
    said[path] = output.getvalue()
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What each says of itself, all in one process, which imports their libraries once."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT / 'tests/support'}"}
    command = [sys.executable, "-c", START, *map(str, BENCHMARKS)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_starts(said, path):
    assert "usage: " in said[str(path)] and said[str(path)].endswith("exit status 0"), said[str(path)]
