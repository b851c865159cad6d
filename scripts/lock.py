"""Rewrite requirements.txt from requirements.in, and the conda environments from requirements.txt. Needs uv.

python scripts/lock.py
"""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = ["uv", "pip", "compile", "--quiet", "--universal", "--fork-strategy", "fewest", "--python-version", "3.11"]
CONDA = {"python": "3.12", "pip": "25.3"}
PROGRAMS = {"chromaprint": ["chromaprint>=1.5"]}  # programs of a stage that are no Python packages: from conda-forge
SEARCH = ["numpy", "pandas", "pyarrow", "scipy", "soundfile", "tqdm"]
STAGES = {  # what the scripts of a stage import, directly or through the library
    "data": ["av", "gdown", "google-crc32c", "kagglesdk", "numpy", "pandas", "requests", "scipy", "soundfile", "tqdm"],
    "train": [
        *("av", "google-crc32c", "numpy", "pandas", "pyyaml", "requests", "safetensors", "scipy", "soundfile"),
        *("tensorboard", "torch", "tqdm"),
    ],
    "identify": [
        *("av", "faiss-cpu", "faiss-gpu", "numpy", "pandas", "pyyaml", "safetensors", "scipy", "soundfile", "torch"),
        "tqdm",
    ],
    "search": [*SEARCH, "faiss-cpu", "faiss-gpu", "google-crc32c", "requests"],
    "landmarks": [*SEARCH, "audfprint2"],
    "chromaprint": SEARCH,
    "milvus": [*SEARCH, "faiss-cpu", "milvus-lite", "pymilvus"],  # not faiss-gpu, which faiss-cpu would overwrite
    "listen": [
        *("av", "faiss-cpu", "faiss-gpu", "numpy", "pandas", "pillow", "pyarrow", "safetensors", "scipy", "soundfile"),
        *("torch", "tqdm"),
    ],
    "scoreboard": [
        *("jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "pyyaml", "scipy", "soundfile", "tqdm"),
        "vl-convert-python",
    ],
}
STAGES["so_far"] = sorted({*STAGES["scoreboard"], *STAGES["listen"]})  # the scoreboard of what has finished, in one job
STAGES["ship"] = sorted({*STAGES["scoreboard"], *STAGES["identify"]})  # weights for others, with their card
# What planning imports, and what a cluster needs: with --sdm conda the jobs bring the rest.
DRIVER = ["jsonschema", "pyyaml", "snakemake", "snakemake-executor-plugin-slurm"]


def faiss_lines() -> dict[str, str]:
    """The lines of requirements.in for faiss-gpu and faiss-cpu."""
    lines = (ROOT / "requirements.in").read_text().splitlines()
    return {line.split("==")[0]: line.split("  #")[0] for line in lines if line.startswith("faiss")}


def compile_lock() -> None:
    """requirements.in -> requirements.txt, with hashes.

    milvus-lite asks for faiss-cpu; where faiss-gpu is installed, that would overwrite its module, so it is left out there. So is
    what a test package asks for and the tests do without.
    """
    files = ["--generate-hashes", "--no-header", "requirements.in", "--output-file", "requirements.txt"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.write(faiss_lines()["faiss-cpu"] + "\n" + "playwright; python_version < '3'\n")
        overrides.flush()
        subprocess.run([*UV, *files, "--override", overrides.name], cwd=ROOT, check=True)
    lock = ROOT / "requirements.txt"
    lines = lock.read_text().splitlines(keepends=True)
    lock.write_text("".join(line for line in lines if overrides.name not in line))  # another name each time


def closure(packages: list[str]) -> list[str]:
    """The pins, taken from requirements.txt, of the packages and all that they need."""
    wanted = [name for name in packages if not name.startswith("faiss")]
    if "faiss-gpu" in packages:
        wanted += faiss_lines().values()
    elif "faiss-cpu" in packages:
        wanted.append(faiss_lines()["faiss-cpu"].split(";")[0])  # faiss-cpu on every platform
    options = ["--constraint", "requirements.txt", "--no-annotate", "--no-header", "-"]
    done = subprocess.run(
        [*UV, *options], cwd=ROOT, check=True, input="\n".join(wanted), capture_output=True, text=True
    )
    return [line for line in done.stdout.splitlines() if "==" in line]


def write_environment(path: Path, packages: list[str], about: str = "", programs: Sequence[str] = ()) -> None:
    """An environment file: python, pip and programs from conda-forge, the rest pinned for pip as in the lock."""
    lines = [f"# Written by scripts/lock.py; the pins are those of requirements.txt.{about}", "channels:"]
    lines += ["  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - {name}={version}" for name, version in CONDA.items()] + [f"  - {program}" for program in programs]
    lines += ["  - pip:", *(f"      - {pin}" for pin in closure(packages))]
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    compile_lock()
    for stage, packages in STAGES.items():
        write_environment(ROOT / f"envs/{stage}.yaml", packages, programs=PROGRAMS.get(stage, ()))
    write_environment(
        ROOT / "environment.yaml", DRIVER, " For the driver alone: snakemake --sdm conda installs the rest."
    )
