"""Provenance of a scoreboard beside that of its jobs (`made`): data, seeds, time, the page itself, the config."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from nafp.files import read_json
from nafp.jobfacts import device_name, job_facts
from nafp.jobtimes import files_of_jobs
from nafp.report.page.made import flat, wall_clock_s
from nafp.secrets import without_secrets

WARNINGS = 20  # warnings of the data check shown, at most


def collect(config: Mapping, cells: pd.DataFrame, benchmarks: Path, verification: Path, threads: int) -> dict:
    """Nested mappings for the page: data, seeds, time per rule, what made the page, config. ``cells``: of `cells.load_cells`."""
    seeds = sorted(cells["seed"].dropna().astype(int).unique()) if "seed" in cells else []
    return {
        "data": data(verification),
        "seeds": {"of the runs": [int(seed) for seed in seeds], "of the search": config["search"]["seed"]},
        "time": time_per_rule(benchmarks),
        "this page": flat(job_facts(device_name(None), threads)),
        "config": without_secrets(config),
    }


# ---------------------------------------------------------------- data and time


def data(verification: Path) -> dict[str, str | dict[int, str]]:
    """Result of the data check: clips and hours of each split, and warnings."""
    if not verification.is_file():
        return {"verification": "has not run yet"}
    facts = read_json(verification, "splits", "warnings", "root", "md5", "published_md5")
    splits = {name: f"{split['clips']:,} clips, {split['hours']:.2f} h" for name, split in facts["splits"].items()}
    warnings = facts["warnings"]
    more = [f"and {len(warnings) - WARNINGS} more"] * (len(warnings) > WARNINGS)
    first = dict(enumerate([*warnings[:WARNINGS], *more], start=1))
    return (
        {"verification": verification_result(facts)}
        | ({"warnings": first} if first else {})
        | {"folder": facts["root"]}
        | splits
    )


def verification_result(facts: Mapping) -> str:
    """One sentence on what was checked of a data set, and the result."""
    clips = sum(split["clips"] for split in facts["splits"].values())
    published = facts["published_md5"]
    compared = "not compared with a published checksum"
    if published:
        compared = f"MD5 {'as' if facts['md5'] == published else 'NOT as'} published"
    count = len(facts["warnings"])
    passed = f"passed with {count} warning{'s' * (count != 1)}" if count else "passed"
    return f"{passed}: {clips:,} files are whole, 8 kHz, 16 bits, mono; {compared}"


def time_per_rule(benchmarks: Path) -> dict[str, str]:
    """Jobs and wall-clock time that each rule has taken."""
    return {
        rule: f"{spent(sum(jobs))} in {len(jobs)} job{'s' * (len(jobs) != 1)}"
        for rule, jobs in seconds_of_jobs(benchmarks).items()
    }


def seconds_of_jobs(benchmarks: Path) -> dict[str, list[float]]:
    """Rule -> wall-clock seconds of each of its jobs, from Snakemake's benchmark files."""
    return {rule: [wall_clock_s(file) for file in jobs.values()] for rule, jobs in files_of_jobs(benchmarks).items()}


def spent(seconds: float) -> str:
    """A duration with a readable unit: 7.5 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
