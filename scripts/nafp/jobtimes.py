"""The files in which Snakemake records the time and memory of jobs."""

from pathlib import Path


def files_of_jobs(benchmarks: Path) -> dict[str, dict[str, Path]]:
    """Rule -> job -> its file below the folder of benchmarks; a job of a rule without wildcards is called by nothing."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        rule, _, job = path.relative_to(benchmarks).with_suffix("").as_posix().partition("/")
        found.setdefault(rule, {})[job] = path
    return found
