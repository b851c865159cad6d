"""The workflow is planned where only what ``environment.yaml`` names is installed, as --sdm conda and modules have it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from workflow import copy_project

ROOT = Path(__file__).parents[2]
PLANNING = ("snakemake", "pyyaml", "jsonschema")


def pins() -> list[str]:
    """The versions of what planning imports."""
    every = yaml.safe_load((ROOT / "environment.yaml").read_text())["dependencies"][-1]["pip"]
    return [pin.split(";")[0].strip() for pin in every if pin.split("==")[0] in PLANNING]


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """The Python of an environment with Snakemake, PyYAML and jsonschema, from PyPI."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin/python"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "1", *pins()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        pytest.skip(f"PyPI does not answer: {done.stderr.strip().splitlines()[-1]}")
    return python


def test_planning_and_linting(bare, tmp_path):
    folder = copy_project(tmp_path / "project")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SNAKEMAKE", "PYTHON"))}
    for arguments in (["-n", "--quiet", "rules"], ["--lint"], ["--list-rules"]):
        command = [bare, "-m", "snakemake", *arguments, "--configfile", "tiny.yaml"]
        done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    there = subprocess.run([bare, "-c", "import pandas"], env=clean, capture_output=True)
    assert there.returncode != 0
