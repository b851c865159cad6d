"""Where a scoreboard comes from: config, code, packages, machine, time."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

PACKAGES = (
    *("snakemake", "torch", "faiss-gpu", "faiss-cpu", "numpy", "pandas", "scipy", "soundfile", "pyarrow", "matplotlib"),
    *("seaborn", "jinja2"),
)


def collect(config: Mapping, cells: pd.DataFrame, benchmarks: Path, verification: Path) -> dict:
    """Nested mappings for the page: code, data, seeds, time per rule, machine, packages, config."""
    seeds = sorted(cells["seed"].dropna().astype(int).unique()) if "seed" in cells else []
    return {
        "code": {"git commit": git_commit()},
        "data": data(verification),
        "seeds": {"of the runs": [int(seed) for seed in seeds], "of the search": config["search"]["seed"]},
        "time": time_per_rule(benchmarks),
        "machine": {
            "system": platform.platform(),
            "processor": f"{processor()}, {os.cpu_count()} cores",
            "python": platform.python_version(),
        },
        "packages": {name: installed(name) for name in PACKAGES},
        "config": dict(config),
    }


def data(verification: Path) -> dict[str, str]:
    """What the check of the data set found: clips and hours of each split."""
    if not verification.is_file():
        return {"verification": "has not run yet"}
    facts = json.loads(verification.read_text(encoding="utf-8"))
    splits = {name: f"{split['clips']:,} clips, {split['hours']:.2f} h" for name, split in facts["splits"].items()}
    return {"verification": "passed: every file is as it should be", "folder": facts["root"], **splits}


def time_per_rule(benchmarks: Path) -> dict[str, str]:
    """Jobs and wall-clock time that each rule has taken, from Snakemake's benchmark files."""
    times = {}
    for folder in sorted(path for path in benchmarks.glob("*") if path.is_dir()):
        jobs = [pd.read_csv(file, sep="\t")["s"].mean() for file in sorted(folder.rglob("*.tsv"))]
        times[folder.name] = f"{spent(sum(jobs))} in {len(jobs)} job{'s' * (len(jobs) != 1)}"
    return times


def spent(seconds: float) -> str:
    """A time as people say it: 7.5 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


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
