"""Provenance of a result: commit of the workflow, versions of packages, machine, time. Takes milliseconds."""

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # folder of the workflow
CODE = ("Snakefile", "rules", "scripts")  # files that results depend on; the config is recorded separately
PACKAGES = ("snakemake", "torch", "faiss", "pymilvus", "numpy", "scipy", "pandas")  # import names
UNKNOWN = "unknown"
DEVICES = Path("/dev")  # folder of files of devices


def job_facts(device: str, threads: int) -> dict:
    """Facts of this job, as they are stored with its result: commit, changed, python, packages, device, processor, cores,
    threads, system, date.

    ``changed``: whether the code differs from the commit (None: not known). ``packages``: those that the job has loaded.
    """
    return {
        **code_version(),
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES if name in sys.modules},
        "device": device,
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": platform.platform(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def gpu_here() -> bool:
    """Whether this machine has an NVIDIA GPU, found without loading a library."""
    return any(DEVICES.glob("nvidia[0-9]*"))


def device_name(gpu: int | None) -> str:
    """The CPU, or the model name of the GPU of this number."""
    if gpu is None:
        return "CPU"
    if "torch" in sys.modules:
        return sys.modules["torch"].cuda.get_device_name(gpu)
    cards = Path("/proc/driver/nvidia/gpus").glob("*/information")
    lines = [line for card in cards for line in card.read_text(encoding="utf-8").splitlines()]
    models = {line.split(":", 1)[1].strip() for line in lines if line.startswith("Model:")}
    return " or ".join(sorted(models)) or "a GPU"


def version_of(module: str) -> str:
    """The version of a module that has been imported, as it says itself, or as its package's metadata says."""
    said = getattr(sys.modules[module], "__version__", None)
    if said is not None:
        return str(said)
    try:
        return version(module)
    except PackageNotFoundError:
        return UNKNOWN


def processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# ---------------------------------------------------------------- the commit


@cache
def code_version(root: Path = ROOT) -> dict:
    """{"commit": 12 digits or unknown, "changed": True, False or None} of the workflow in ``root``, wherever it is used.

    By git, if the repository around the workflow tracks it; without git, by the files of its checkout, or by what
    ``git archive`` has written into it.
    """
    tracked, _ = git(root, "ls-files", "--error-unmatch", CODE[0])
    failed, commit = git(root, "rev-parse", "--short=12", "HEAD")
    if tracked == failed == 0:
        differs, _ = git(root, "diff", "--quiet", "HEAD", "--", *CODE)
        return {"commit": commit, "changed": {0: False, 1: True}.get(differs)}
    return {"commit": checked_out(root) or archived(root) or UNKNOWN, "changed": None}


def git(root: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a command of git in a folder; -1 if there is no git."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return -1, ""
    return done.returncode, done.stdout.strip()


def checked_out(root: Path) -> str | None:
    """The commit that a checkout is at, read from the files of git themselves: for containers, which have no git."""
    try:
        place = root / ".git"
        if place.is_file():  # a worktree or a submodule
            place = root / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        head = (place / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head[:12]
        name = head.removeprefix("ref: ")
        shared = place / "commondir"
        common = place / shared.read_text(encoding="utf-8").strip() if shared.exists() else place
        if (common / name).exists():
            return (common / name).read_text(encoding="utf-8").strip()[:12]
        packed = (line.split() for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines())
        return next((words[0][:12] for words in packed if words[1:] == [name]), None)
    except OSError:
        return None


def archived(root: Path) -> str | None:
    """The commit of an archive, as GitHub's "Download ZIP" is one: git writes it into this file (``.gitattributes``)."""
    try:
        commit = (root / "scripts/nafp/archived.txt").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return None if commit.startswith("$") else commit[:12]
