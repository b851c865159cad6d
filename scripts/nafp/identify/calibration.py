"""A model's own limits, from the scores of validation songs in a library that does not hold them.

Each validation song is left out of the library once and searched for in the rest, clean and degraded. The highest limit
that it still passes is close to normally distributed over songs, so a few dozen songs determine the limit for a given rate
of false positives: a one-sided prediction bound (Student's t). In a library of r times as many fingerprints an unknown
recording has r times as many chances, so the bound is taken for the rate divided by r.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from nafp.files import read_json
from nafp.identify.nearest import Exact
from nafp.identify.recognise import intervals
from nafp.identify.recordings import Recording
from nafp.identify.windows import LONGEST, Catalogue, Limits, windows
from nafp.search.vectors import Database
from nafp.shipped import limits_in

STEPS = 10  # bisection steps: scores to 0.002
HIGHEST = 0.95  # largest limit: a copy without degradation scores 1
ENOUGH = 5  # validation songs


def calibrate(
    recordings: Mapping[str, Sequence[Recording]],
    songs: Sequence[Recording],
    others: Sequence[Recording],
    limits: Limits,
) -> dict:
    """Facts for ``learned``: by kind of recording, mean and standard deviation of the highest limits passed.

    ``recordings``: kind -> a recording of each of ``songs``; ``others``: more songs of the library; ``limits.windows`` must
    agree. Silence counts as nothing, and a recording with fewer windows of sound than must agree does not count.
    """
    parts = [*songs, *others]
    vectors, silent = (np.concatenate([getattr(part, name) for part in parts]) for name in ("fingerprints", "silent"))
    counts = np.array([len(part.fingerprints) for part in parts])
    end = np.cumsum(counts)
    passed: dict[str, list[float]] = {kind: [] for kind in recordings}
    for song in range(len(songs)):
        first, last = end[song] - counts[song], end[song]
        owner = np.repeat(np.delete(np.arange(len(parts)), song), np.delete(counts, song))
        database = Database(vectors[:first], vectors[last:])
        catalogue = Catalogue(database, [], end - counts, owner, silent=np.delete(silent, slice(first, last)))
        for kind, of_songs in recordings.items():
            query = of_songs[song].fingerprints
            found = windows(query, Exact(database), catalogue, limits, of_songs[song].silent)
            if np.isfinite(found["score"]).sum() >= min(limits.windows, len(found)):
                passed[kind].append(highest_passed(found, min(LONGEST, len(query)), limits.windows))
    unknown = {kind: mean_and_sd(one) for kind, one in passed.items()}
    others_of_a_song = int(np.count_nonzero(~silent)) * (len(parts) - 1) // len(parts)
    return {"unknown": unknown, "windows": limits.windows, "fingerprints": others_of_a_song}


def mean_and_sd(values: Sequence[float]) -> dict:
    """Mean and standard deviation of what songs passed, and how many songs they are; of fewer than two, 0 for the unknown."""
    count = len(values)
    mean, sd = np.mean(values) if count else 0.0, np.std(values, ddof=1) if count > 1 else 0.0
    return {"mean": float(mean), "sd": float(sd), "songs": count}


def highest_passed(found: pd.DataFrame, length: int, agreeing: int) -> float:
    """The highest ``min_score`` with which windows (``windows.windows``) are still an interval, whatever their margin."""
    low, high = -1.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if intervals(found, length, Limits(middle, -np.inf, agreeing)):
            low = middle
        else:
            high = middle
    return low


def learned(path: Path, fingerprints: int, false_positives: float, limits: Limits) -> tuple[Limits, str]:
    """The limits with the ``min_score`` of a model's calibration for a library of so many fingerprints, and a sentence on them.

    ``path``: of the calibration, or of weights that may carry one; without it the limits are unchanged, and the sentence says so.
    """
    if path.suffix == ".safetensors":
        facts = limits_in(path)
    else:
        facts = read_json(path, "unknown", "windows", "fingerprints") if path.is_file() else None
    if facts is None:
        return limits, (
            f"limits: the general ones (score {limits.min_score:g}), not those of the model; there is no {path}; "
            f"of a run of the workflow,  snakemake --cores all {path}  makes it"
        )
    unknown, known_windows = facts["unknown"].values(), facts["windows"]
    larger = max(1.0, fingerprints / facts["fingerprints"])
    bounds = [bound(one["mean"], one["sd"], one["songs"], false_positives / larger) for one in unknown]
    songs = min(one["songs"] for one in unknown)
    score = round(min(max(bounds), HIGHEST), 3)
    said = (
        f"limits: score {score:g}, margin {limits.min_margin:g}, {limits.windows} windows, for {100 * false_positives:g} % of "
        f"unknown recordings recognised; learned from {songs} validation songs ({path})"
    )
    if songs < ENOUGH:
        said += ", which are too few to rely on"
    if limits.windows != known_windows:
        said += f", with {known_windows} windows"
    if max(bounds) > HIGHEST:
        said += "; in a library of this size the model cannot keep that rate"
    return replace(limits, min_score=score), said


def bound(mean: float, sd: float, count: int, rate: float) -> float:
    """One-sided prediction bound: ``rate`` is the probability that the next value after ``count`` normal ones exceeds it."""
    if count < 2:
        return 1.0
    return mean + sd * np.sqrt(1 + 1 / count) * -stdtrit(count - 1, rate)
