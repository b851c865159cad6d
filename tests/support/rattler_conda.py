"""A conda by py-rattler: what Snakemake, and the docs, ask of the program, done by rattler's solver and installer.

    conda env create --file FILE (--prefix FOLDER | --name NAME)

``write_conda`` makes the program, and its ``activate``. The packages of ``conda-forge`` are those of a channel in a folder.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "26.1.0"  # newer than the oldest that Snakemake takes
CONDA = """#!/bin/sh
PYTHONPATH={path} exec {python} {here} --root {root} --channel {channel} "$@"
"""
ACTIVATE = """export CONDA_PREFIX="$1"
[ -d "$1" ] || export CONDA_PREFIX="{root}/envs/$1"
export PATH="$CONDA_PREFIX/bin:$PATH"
"""


def write_conda(root: Path, channel: Path) -> Path:
    """Write the program to ``root``/bin; returns that folder."""
    (root / "bin").mkdir(parents=True, exist_ok=True)
    (root / "bin/activate").write_text(ACTIVATE.format(root=root))
    path = os.pathsep.join(filter(None, sys.path))
    text = CONDA.format(path=path, python=sys.executable, here=Path(__file__).resolve(), root=root, channel=channel)
    (root / "bin/conda").write_text(text)
    (root / "bin/conda").chmod(0o755)
    return root / "bin"


def solve(specs: list[str], channel: Path) -> list:
    """The packages of an environment."""
    import rattler

    platforms = ["linux-64", "noarch"]
    virtual = rattler.VirtualPackage.detect()
    return asyncio.run(rattler.solve([channel.as_uri()], specs, platforms=platforms, virtual_packages=virtual))


def create(file: Path, prefix: Path, root: Path, channel: Path) -> None:
    """What ``conda env create`` does: the packages of the channel, then those of pip, with the options that conda gives it."""
    import rattler
    import yaml

    environment = yaml.safe_load(file.read_text())
    if environment["channels"] != ["conda-forge", "nodefaults"]:
        sys.exit(f"the channel stands for conda-forge alone, and {file} wants {environment['channels']}")
    specs = [dependency for dependency in environment["dependencies"] if isinstance(dependency, str)]
    records = solve(specs, channel)
    asyncio.run(rattler.install(records, prefix, cache_dir=root / "pkgs", show_progress=False))
    lists = [dependency["pip"] for dependency in environment["dependencies"] if isinstance(dependency, dict)]
    for packages in lists:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write("\n".join(packages) + "\n")
            requirements.flush()
            clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            path = f"{prefix}/bin{os.pathsep}{clean['PATH']}"
            pip = [f"{prefix}/bin/python", "-m", "pip", "install", "-U", "-r", requirements.name, "--exists-action=b"]
            subprocess.run(pip, env=clean | {"PATH": path}, check=True)


def main() -> None:
    parser = argparse.ArgumentParser("conda")
    parser.add_argument("--root", type=Path)
    parser.add_argument("--channel", type=Path)
    parser.add_argument("--version", action="version", version=f"conda {VERSION}")
    parser.add_argument("words", nargs="+")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--prefix", type=Path)
    parser.add_argument("--name")
    for option in ("--json", "--quiet", "--no-default-packages", "--get", "-y", "--tarballs"):
        parser.add_argument(option, action="store_true")
    asked = parser.parse_intermixed_args()
    match asked.words:
        case ["info"]:
            print(json.dumps({"conda_prefix": str(asked.root), "platform": "linux-64"}))
        case ["config", "channel_priority"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create"] if asked.file and (asked.prefix or asked.name):
            create(asked.file, asked.prefix or asked.root / "envs" / asked.name, asked.root, asked.channel)
        case ["clean"]:
            pass  # the channel's packages are files of this machine
        case _:
            parser.error(f"this conda cannot {' '.join(asked.words)}")


if __name__ == "__main__":
    main()
