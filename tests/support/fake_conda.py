"""A conda that makes empty environments, in which the Python of the tests is found."""

from pathlib import Path

CONDA = """#!/bin/sh
case "$*" in
    "info --json") echo '{{"conda_prefix": "{prefix}", "platform": "linux-64"}}' ;;
    --version) echo "conda 26.1.0" ;;
    "config --get"*) echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
    *create*) for last; do :; done; mkdir -p "$last" ;;
esac
"""


def fake_conda(folder: Path) -> Path:
    """Write it; returns the folder that PATH must name."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin/activate").touch()
    (folder / "bin/conda").write_text(CONDA.format(prefix=folder))
    (folder / "bin/conda").chmod(0o755)
    return folder / "bin"
