"""What was done for a scoreboard, in a sentence: trainings and searches, music, time and machines."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.evaluation.cell import Cell, results_of
from nafp.files import read_json
from nafp.jobfacts import UNKNOWN
from nafp.methods import kind_of_fields
from nafp.report.page.provenance import seconds_of_jobs, spent
from nafp.yaml_text import parse_yaml


def what_was_done(cells: Mapping[Path, Cell], verification: Path, benchmarks: Path) -> str:
    """The sentence; ``cells``: by their files. Empty without cells."""
    if not cells:
        return ""
    trained = {
        cell.run: results_of(path) / "runs" / cell.run
        for path, cell in cells.items()
        if kind_of_fields(cell.fields).trained
    }
    others = {cell.run for cell in cells.values()} - set(trained)
    hours = _hours(verification)
    parts = []
    if trained:
        music = _music(trained.values(), hours["train"]) if "train" in hours else ""
        parts.append(f"{_count(len(trained), 'model')} trained for {_epochs(trained.values())}{music}")
    if others:
        parts.append(f"{_count(len(others), 'other method')}" if trained else _count(len(others), "method"))
    segments = max(sum(cell.database.values()) for cell in cells.values())
    parts.append(f"{_count(len(cells), 'evaluation')} in a database of {_text(segments * HOP / SAMPLE_RATE / 3600)} h")
    seconds = sum(map(sum, seconds_of_jobs(benchmarks).values()))
    time = f"; {spent(seconds)} of jobs" if seconds else ""
    machines = _machines(cells.values(), trained.values())
    return f"{', '.join(parts)}{time}{f', on {machines}' if machines else ''}."


def _text(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _hours(verification: Path) -> dict[str, float]:
    """Split -> hours of audio; nothing before the data was checked."""
    if not verification.is_file():
        return {}
    return {name: split["hours"] for name, split in read_json(verification, "splits")["splits"].items()}


def _music(runs: Iterable[Path], hours: float) -> str:
    """On how much of the training songs' hours the runs were trained: a number or a range."""
    shares = [_share(run / "config.yaml") for run in runs]
    few, many = (_text(share * hours) for share in (min(shares), max(shares)))
    return f" on {few} h of music" if few == many else f" on {few} to {many} h of music"


def _share(config: Path) -> float:
    """The share of the training songs that a run of this config was trained on; all where it does not say."""
    settings = parse_yaml(config.read_text(encoding="utf-8")) if config.is_file() else {}
    return settings.get("data", {}).get("fraction", 1.0)


def _epochs(runs: Iterable[Path]) -> str:
    """How many epochs the runs had: a number or a range."""
    histories = [run / "history.csv" for run in runs]
    last = [int(pd.read_csv(path)["epoch"].max()) for path in histories if path.is_file()]
    if not last:
        return "an unknown number of epochs"
    few, many = min(last), max(last)
    return _count(many, "epoch") if few == many else f"{few} to {many} epochs"


def _machines(cells: Iterable[Cell], runs: Iterable[Path]) -> str:
    """The processors and GPUs of trainings and searches."""
    jobs = [facts for cell in cells for facts in (cell.provenance or {}).values()]
    records = [run / "provenance.json" for run in runs]
    jobs += [job for path in records if path.is_file() for job in read_json(path, "jobs")["jobs"]]
    known = [facts for facts in jobs if facts.get("processor", UNKNOWN) != UNKNOWN]
    processors = {f"{facts['processor']} ({_count(facts['cores'], 'core')})" for facts in known}
    cards = {facts["device"] for facts in jobs if facts.get("device", "CPU") != "CPU"}
    return ", ".join([*sorted(processors), *(sorted(cards) or ["no GPU"] * bool(known))])
