"""What made the results: the jobs that trained, built indexes and searched, a row each, with the facts in which they differ."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pandas as pd

from nafp.evaluation.cell import Cell, below_results, results_of
from nafp.files import damaged_file_errors, read_json
from nafp.jobfacts import UNKNOWN
from nafp.methods import kind_of_fields
from nafp.report.tables.layout import MISSING, Block, Entry, Group, Layout

NOT_RECORDED = "not recorded"
CHANGED = {True: ", with changes", False: "", None: ", changes unknown"}  # code since its commit
TIMES = ("date", "seconds")  # columns of every table of jobs
NUMBERS = ("seconds", "cells")
KINDS = {"date": "when", "seconds": "number", "cells": "number"}  # of columns that are no plain facts
VARYING = (*TIMES, "folder", "cells")  # columns in which rows are bound to differ
TIMES_WARNING = "times of different machines do not compare"
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Made:
    """What the page says of the jobs behind it.

    ``differences``: one sentence. ``common``: facts that all share. ``plan``: the table, a block a stage and a row a job, with a
    column for each fact in which jobs of one stage differ. ``count``: of the rows. ``sources``: block -> what is said of it.
    """

    differences: str
    common: Facts
    plan: Layout
    count: int
    sources: Mapping[str, str] = field(default_factory=dict)


def jobs_table(cells: Mapping[Path, Cell], names: Mapping[str, str], benchmarks: Path) -> Made:
    """The jobs that made cells, and the runs beside them. ``names``: run -> its short name; ``benchmarks``: Snakemake's files."""
    stages = made_by(cells, names, benchmarks)
    numbers = {stage: f"{len(jobs)} job{'s' * (len(jobs) != 1)}" for stage, jobs in stages.items()}
    timed = any("seconds" in facts for jobs in stages.values() for facts in jobs.values())
    return facts_table(stages, "job", TIMES if timed else TIMES[:1], differences(stages), numbers)


def differences(stages: Mapping[str, Mapping[str, Facts]]) -> str:
    """One sentence on the facts in which jobs of one stage differ."""
    if any(not known(facts) for jobs in stages.values() for facts in jobs.values()):
        return "not known: some were made before this was recorded"
    found = {stage: differing(jobs) for stage, jobs in stages.items()}
    said = "; ".join(f"{stage}: {', '.join(names)}" for stage, names in found.items() if names)
    if not said:
        return "none: all runs and cells were made by the same code and packages on the same kind of machine"
    return f"not all were made alike ({said}); {TIMES_WARNING}"


# ---------------------------------------------------------------- jobs


def made_by(cells: Mapping[Path, Cell], names: Mapping[str, str], benchmarks: Path) -> dict[str, dict[str, Facts]]:
    """Cells by their files -> stage (training, index, search) -> run or cell by its name -> facts of the job that made it.

    Stages without jobs are left out. A job of which nothing is recorded has no facts but maybe its seconds.
    """
    made: dict[str, dict[str, Facts]] = {"training": {}, "index": {}, "search": {}}
    for path, cell in cells.items():
        run, kind, stored = names.get(cell.run, cell.run), kind_of_fields(cell.fields), cell.provenance or {}
        indexed = ", ".join(filter(None, (run, cell.index)))
        name = f"{indexed}, queries {cell.query_set}" if cell.query_set else indexed
        job, index = benchmarks_of(path)
        made["search"][name] = flat(stored.get("search", {})) | seconds_of(benchmarks / job)
        if kind.searched:
            made["index"][indexed] = flat(stored.get("index", {})) | seconds_of(benchmarks / index)
        if kind.trained and run not in made["training"]:
            trained = training(results_of(path) / "runs" / cell.run)
            made["training"][run] = trained | seconds_of(benchmarks / f"train/{cell.run}.tsv")
    return {stage: jobs for stage, jobs in made.items() if jobs}


def benchmarks_of(cell: Path) -> tuple[str, str]:
    """Where the times of a cell's search and of its index lie below the benchmarks, by the names that rules/search.smk gives."""
    _, run, *below = Path(below_results(cell)).with_suffix(".tsv").parts
    method = run.removeprefix("method=")
    index = [part for part in below if not part.startswith("queries=")]
    return "/".join(["score" if method == run else "answer", method, *below]), "/".join(["build_index", run, *index])


def seconds_of(benchmark: Path) -> Facts:
    """The wall-clock time of a job, from Snakemake's benchmark file; nothing without one."""
    if not benchmark.is_file():
        return {}
    return {"seconds": f"{wall_clock_s(benchmark):.1f}"}


def wall_clock_s(benchmark: Path) -> float:
    """Wall-clock seconds of a job, from Snakemake's benchmark file."""
    with damaged_file_errors(benchmark):
        return pd.read_csv(benchmark, sep="\t", usecols=["s"])["s"].mean()


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


# ---------------------------------------------------------------- what is shared, and what is not


def known(facts: Facts) -> bool:
    """Whether more is known of a job than how long it took."""
    return bool(set(facts) - {"seconds"})


def values(jobs: Mapping[str, Facts], name: str) -> Counter:
    """How often each value of a fact occurs. Jobs that did not load a package do not differ from those that did."""
    return Counter(facts.get(name, NOT_RECORDED) for facts in jobs.values() if name in facts or not known(facts))


def differing(jobs: Mapping[str, Facts]) -> list[str]:
    """The facts that have several values, but for those that are bound to."""
    names = dict.fromkeys(name for facts in jobs.values() for name in facts)
    return [name for name in names if name not in VARYING and len(values(jobs, name)) > 1]


def facts_table(
    stages: Mapping[str, Mapping[str, Facts]],
    head: str,
    always: Sequence[str],
    sentence: str,
    sources: Mapping[str, str],
) -> Made:
    """A table of facts: a block a stage, a row a job, ``always`` and what differs in columns, the rest said once.

    What all stages share is ``common``; what only the jobs of one share is the note of its block. A value that is not the usual
    one of its stage stands apart.
    """
    every = dict.fromkeys(name for jobs in stages.values() for facts in jobs.values() for name in facts)
    columns = list(dict.fromkeys([*always, *(name for jobs in stages.values() for name in differing(jobs))]))
    rest = [name for name in every if name not in columns]
    common = {name: found for name in rest if (found := _of_all(stages.values(), name)) is not None}
    blocks = []
    for stage, jobs in stages.items():
        notes = [
            f"{name} {next(iter(values(jobs, name)))}" for name in rest if name not in common and values(jobs, name)
        ]
        usual = {name: _usual(values(jobs, name)) for name in columns if name not in VARYING}
        groups = [
            Group([Entry(name, "method", name)], [_row(facts, columns, usual)], []) for name, facts in jobs.items()
        ]
        blocks.append(Block(stage, ", ".join(notes), groups))
    heads = [Entry(head, "method"), *(Entry(name, KINDS.get(name, "fact")) for name in columns)]
    return Made(sentence, common, Layout(heads, blocks, ""), sum(map(len, stages.values())), sources)


def _of_all(stages: Iterable[Mapping[str, Facts]], name: str) -> str | None:
    """The value of a fact that the jobs of all stages have, each stage some."""
    found = [values(jobs, name) for jobs in stages]
    shared = set().union(*found)
    return next(iter(shared)) if all(found) and len(shared) == 1 else None


def _usual(counts: Counter) -> str | None:
    """The most frequent value; none if several are as frequent, so that all of them stand apart."""
    ordered = counts.most_common(2)
    alone = len(ordered) == 1 or ordered and ordered[0][1] > ordered[1][1]
    return ordered[0][0] if alone else None


def _row(facts: Facts, columns: Sequence[str], usual: Mapping[str, str | None]) -> list[Entry]:
    absent = MISSING if known(facts) else NOT_RECORDED
    row = []
    for name in columns:
        text = facts.get(name, MISSING if name == "seconds" else absent)
        value = None if name not in facts else float(text) if name in NUMBERS else text
        shown = span([text]) if name == "date" and name in facts else text
        apart = name in usual and text not in (MISSING, usual[name])
        row.append(Entry(shown, KINDS.get(name, "fact"), value, apart=apart))
    return row


def span(dates: Iterable[str]) -> str:
    """Dates of jobs from the first to the last, to the minute."""
    shown = [datetime.fromisoformat(date).strftime("%Y-%m-%d %H:%M UTC") for date in ends(dates)]
    return " to ".join(dict.fromkeys(shown))


def ends(dates: Iterable[str]) -> tuple[str, str]:
    """The first and the last of dates of jobs (ISO 8601), some of several jobs, one after the other."""
    every = sorted(date for one in dates for date in one.split(", then "))
    return every[0], every[-1]
