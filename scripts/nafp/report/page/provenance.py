"""Provenance of a scoreboard: code, packages and machines of its runs and cells, data, time, the page itself, the config."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

import pandas as pd

from nafp.evaluation.cell import Cell
from nafp.files import read_json
from nafp.jobfacts import UNKNOWN, device_name, job_facts
from nafp.methods import kind_of_fields
from nafp.report.tables.cells import run_labels
from nafp.secrets import without_secrets

NOT_RECORDED = "not recorded"
SHOWN = 3  # names of runs or cells shown behind a fact, at most
WARNINGS = 20  # warnings of the data check shown, at most
CHANGED = {True: ", with changes", False: "", None: ", changes unknown"}  # code since its commit
Facts = Mapping[str, str]


def collect(
    config: Mapping,
    cells: pd.DataFrame,
    paths: Iterable[Path | str],
    benchmarks: Path,
    verification: Path,
    threads: int,
) -> dict:
    """Nested mappings for the page: what made the results, data, seeds, time per rule, what made the page, config.

    ``cells``: as from `cells.load_cells`; ``paths``: their files, with the runs' folder beside that of the scores.
    """
    seeds = sorted(cells["seed"].dropna().astype(int).unique()) if "seed" in cells else []
    made = {
        stage: shared(records) for stage, records in made_by(map(Path, paths), run_labels(cells)).items() if records
    }
    return {
        "differences": differences(made),
        **made,
        "data": data(verification),
        "seeds": {"of the runs": [int(seed) for seed in seeds], "of the search": config["search"]["seed"]},
        "time": time_per_rule(benchmarks),
        "this page": flat(job_facts(device_name(None), threads)),
        "config": without_secrets(config),
    }


# ---------------------------------------------------------------- runs and cells


def made_by(paths: Iterable[Path], names: Mapping[str, str]) -> dict[str, dict[str, Facts]]:
    """Files of cells -> stage (training, index, search) -> run or cell by its name -> facts of the job that made it.

    ``names``: run -> its short name.
    """
    made: dict[str, dict[str, Facts]] = {"training": {}, "index": {}, "search": {}}
    for path in paths:
        cell = Cell.read(path)
        run, kind = names.get(cell.run, cell.run), kind_of_fields(cell.fields)
        parts = [run, cell.index, f"queries {cell.query_set}" if cell.query_set else ""]
        name = ", ".join(filter(None, parts))
        for stage in ("index", "search") if kind.searched else ("search",):
            made[stage][name] = flat((cell.provenance or {}).get(stage, {}))
        if kind.trained:
            made["training"][run] = training(run_of(path, cell.run))
    return made


def run_of(cell: Path, run: str) -> Path:
    """The folder of the run that a cell, below the folder scores, is of."""
    scores = next((folder for folder in cell.parents if folder.name == "scores"), cell.parent)
    return scores.with_name("runs") / run


def training(run: Path) -> Facts:
    """Facts of a training; if several jobs did it, one after the other, the values of each, in their order."""
    path = run / "provenance.json"
    if not path.is_file():
        return {}
    jobs = [flat(job) for job in read_json(path, "jobs")["jobs"]]
    return {name: ", then ".join(dict.fromkeys(job.get(name, NOT_RECORDED) for job in jobs)) for name in jobs[-1]}


def flat(facts: Mapping) -> Facts:
    """Facts of a job (`jobfacts.job_facts`) as text, the packages among them."""
    known = {name: str(value) for name, value in facts.items() if name not in ("changed", "packages")}
    if known.get("commit", UNKNOWN) != UNKNOWN:
        known["commit"] += CHANGED[facts["changed"]]
    return known | facts.get("packages", {})


def shared(records: Mapping[str, Facts]) -> dict[str, str | dict[str, str]]:
    """Facts of several runs or cells: the common value, or each value with the names that have it."""
    names = dict.fromkeys(name for facts in records.values() for name in facts)
    shown = {}
    for name in names:
        holders: dict[str, list[str]] = {}
        for who, facts in records.items():
            if name in facts or not facts:  # jobs that did not load a package do not differ from those that did
                holders.setdefault(facts.get(name, NOT_RECORDED), []).append(who)
        one = len(holders) == 1
        shown[name] = next(iter(holders)) if one else {value: listed(who) for value, who in holders.items()}
    return shown | ({"date": span(records.values())} if "date" in shown else {}) or {"jobs": NOT_RECORDED}


def listed(names: list[str]) -> str:
    """Names of runs or cells; of many, the first ones."""
    more = f"; and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{'; '.join(names[:SHOWN])}{more}"


def span(records: Iterable[Facts]) -> str:
    """The dates of jobs, from the first to the last."""
    dates = sorted(date for facts in records if "date" in facts for date in facts["date"].split(", then "))
    ends = [datetime.fromisoformat(date).strftime("%Y-%m-%d %H:%M UTC") for date in (dates[0], dates[-1])]
    return " to ".join(dict.fromkeys(ends))


def differences(made: Mapping[str, Mapping]) -> str:
    """One sentence on the facts in which runs and cells differ."""
    found = {stage: [name for name, value in facts.items() if isinstance(value, dict)] for stage, facts in made.items()}
    if any(facts.get("jobs") == NOT_RECORDED for facts in made.values()):
        return "not known: some were made before this was recorded"
    said = "; ".join(f"{stage}: {', '.join(names)}" for stage, names in found.items() if names)
    if not said:
        return "none: all runs and cells were made by the same code and packages on the same kind of machine"
    return f"not all were made alike ({said}); times of different machines do not compare"


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
    folders = sorted(path for path in benchmarks.glob("*") if path.is_dir())
    return {
        folder.name: [pd.read_csv(file, sep="\t")["s"].mean() for file in sorted(folder.rglob("*.tsv"))]
        for folder in folders
    }


def spent(seconds: float) -> str:
    """A duration with a readable unit: 7.5 s, 12 min, 3.4 h."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
