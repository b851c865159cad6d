"""Folders whose names a shell does not take as they are: said before anything is installed or run."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from workflow import ROOT, copy_project

BAD = ["my project", "nafp(1)", "it's", "a&b", "$HOME", "a;b", "tab\there"]
GOOD = ["project", "über-projekt_2.0", "a+b@c,d=e%f:g"]


@pytest.mark.parametrize("name", [*BAD, *GOOD])
def test_make_says_at_once_whether_its_folder_can_be_used(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for file in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / file, folder)
    alone = {
        key: value for key, value in os.environ.items() if not key.startswith("MAKE")
    }  # the tests may run under make
    done = subprocess.run(["make", "-n"], cwd=folder, capture_output=True, text=True, env=alone)
    if name in GOOD:
        assert done.returncode == 0, done.stderr
        assert "pip install" in done.stdout
    else:
        assert done.returncode != 0
        assert done.stdout == ""
        assert f"has spaces or other characters that a shell does not take as they are: {folder}; rename" in done.stderr


@pytest.mark.parametrize("name", ["my project", "über-projekt_2.0"])
def test_the_workflow_says_at_once_whether_its_python_can_be_used(tmp_path, name):
    """This Python by another path, as if it was installed there; the workflow's own folder may be called anything."""
    folder, python = copy_project(tmp_path / "any folder (1)"), tmp_path / name / "python"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    done = subprocess.run(
        [str(python), "-m", "snakemake", "-n", "--configfile", "tiny.yaml", "--quiet"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")},
        capture_output=True,
        text=True,
    )
    says = f"{python}: the path of this Python has spaces or other characters"
    assert (says in done.stdout + done.stderr) == (done.returncode != 0) == (" " in name), done.stderr
