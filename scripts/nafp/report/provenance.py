"""Where a scoreboard comes from: config, code, packages, machine, time."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

PACKAGES = ("snakemake", "torch", "faiss-gpu", "faiss-cpu", "numpy", "pandas", "scipy")


def collect(config: Mapping, benchmarks: Path) -> dict:
    """Nested mappings for the page: seconds per stage, code, machine, packages, config."""
    return {
        "seconds per rule": seconds_per_rule(benchmarks),
        "code": {"git commit": git_commit()},
        "machine": {"system": platform.platform(), "processor": processor(), "python": platform.python_version()},
        "packages": {name: installed(name) for name in PACKAGES},
        "config": dict(config),
    }


def seconds_per_rule(benchmarks: Path) -> dict[str, str]:
    """Jobs and wall-clock seconds that each rule has taken, from Snakemake's benchmark files."""
    times = {}
    for folder in sorted(path for path in benchmarks.glob("*") if path.is_dir()):
        jobs = [pd.read_csv(file, sep="\t")["s"].mean() for file in sorted(folder.rglob("*.tsv"))]
        times[folder.name] = f"{sum(jobs):.1f} s in {len(jobs)} jobs"
    return times


def installed(package: str) -> str:
    """The version of a package in this environment."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not in the environment that built this page"


def git_commit() -> str:
    """The commit of the checkout that this code lies in, marked if files were changed since; 'unknown' without git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor() -> str:
    """The processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
