"""The container files: what they install is the lock; hadolint has nothing to say where it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE, APPTAINER = ROOT / "container/Dockerfile", ROOT / "container/nafp.def"


def test_both_install_the_lock_a_c_compiler_and_fpcalc_and_nothing_else():
    for path in (DOCKERFILE, APPTAINER):
        text = path.read_text()
        assert re.findall(r"apt-get install .*recommends (.*?) &&", text) == ["gcc libc6-dev libchromaprint-tools"]
        (line,) = re.findall(r"pip install .*", text)
        assert "--no-deps" in line
        assert "--require-hashes" in line
        assert line.endswith("--requirement /opt/requirements.txt")
        assert re.search(r"requirements.txt /opt/requirements.txt", text)
        assert "python:3.12-slim-bookworm" in text  # as in envs/


def test_the_docker_context_holds_the_lock_alone():
    assert (ROOT / ".dockerignore").read_text().splitlines() == ["*", "!requirements.txt"]


def test_the_definition_has_known_sections():
    sections = re.findall(r"^%(\w+)", APPTAINER.read_text(), flags=re.MULTILINE)
    assert sections == ["files", "environment", "post", "test", "runscript"]
    header = dict(re.findall(r"^(\w+): (\S+)$", APPTAINER.read_text(), flags=re.MULTILINE))
    assert header == {"Bootstrap": "docker", "From": "python:3.12-slim-bookworm"}


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_is_content():
    done = subprocess.run(["hadolint", DOCKERFILE], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
