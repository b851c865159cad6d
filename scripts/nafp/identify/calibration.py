"""A model's own limits, from the scores of validation songs in a library that does not hold them.

Each validation song is left out of the library once and searched for in the rest, clean and degraded. The highest limit
that it still passes is close to normally distributed over songs, so a few dozen songs determine the limit for a given rate
of false positives: a one-sided prediction bound (Student's t). In a library of r times as many fingerprints an unknown
recording has r times as many chances, so the bound is taken for the rate divided by r; so has one r times as long.
A short recording has fewer and shorter windows, which need a higher limit: excerpts of the songs are searched for as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from nafp.audio.segments import sequence_seconds
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
EXCERPTS = (1, 3, 5, LONGEST)  # segments of excerpts, each a single window: 1, 2, 3 and 5 s
DOUBLINGS = 12  # lengths beyond that of the songs, each twice the one before: of 30 s, up to 34 hours


def calibrate(
    recordings: Mapping[str, Sequence[Recording]],
    songs: Sequence[Recording],
    others: Sequence[Recording],
    limits: Limits,
) -> dict:
    """Facts for ``learned``: by kind of recording, mean and standard deviation of the highest limits passed.

    ``recordings``: kind -> a recording of each of ``songs``; ``others``: more songs of the library; ``limits.windows`` must
    agree. Silence counts as nothing, and a recording with fewer windows of sound than must agree does not count.
    ``segments``: the mean length of the recordings; ``shorter``: by the length of excerpts, in segments, the same facts of their
    only window's score.
    """
    parts = [*songs, *others]
    vectors, silent = (np.concatenate([getattr(part, name) for part in parts]) for name in ("fingerprints", "silent"))
    counts = np.array([len(part.fingerprints) for part in parts])
    end = np.cumsum(counts)
    passed: dict[str, list[float]] = {kind: [] for kind in recordings}
    by_length = {n: {kind: [] for kind in recordings} for n in EXCERPTS}
    sounding = []
    for song in range(len(songs)):
        first, last = end[song] - counts[song], end[song]
        owner = np.repeat(np.delete(np.arange(len(parts)), song), np.delete(counts, song))
        database = Database(vectors[:first], vectors[last:])
        catalogue = Catalogue(database, [], end - counts, owner, silent=np.delete(silent, slice(first, last)))
        for kind, of_songs in recordings.items():
            query, quiet = of_songs[song].fingerprints, of_songs[song].silent
            search = partial(windows, query, Exact(database), catalogue, limits, quiet)
            found = search()
            if np.isfinite(found["score"]).sum() >= min(limits.windows, len(found)):
                passed[kind].append(highest_passed(found, min(LONGEST, len(query)), limits.windows))
                sounding.append(np.count_nonzero(~quiet))
            for length in (n for n in EXCERPTS if n < len(query)):
                scores = (found if length == LONGEST else search(longest=length))["score"]
                by_length[length][kind].append(scores[np.isfinite(scores)])
    segments = round(np.mean(sounding)) if sounding else 0
    others_of_a_song = int(np.count_nonzero(~silent)) * (len(parts) - 1) // len(parts)
    return {
        "unknown": {kind: mean_and_sd(one) for kind, one in passed.items()},
        "windows": limits.windows,
        "fingerprints": others_of_a_song,
        "segments": segments,
        "shorter": {
            str(n): {
                kind: mean_and_sd(np.concatenate([*one, []]), sum(len(scores) > 0 for scores in one))
                for kind, one in kinds.items()
            }
            for n, kinds in by_length.items()
            if n < segments
        },
    }


def mean_and_sd(values: Sequence[float], songs: int | None = None) -> dict:
    """Mean and standard deviation of what songs passed, and how many they are; of fewer than two, 0 for the unknown."""
    count = len(values) if songs is None else songs
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
    unknown, known_windows, clip = facts["unknown"], facts["windows"], facts.get("segments")
    rate = false_positives / max(1.0, fingerprints / facts["fingerprints"])
    songs = min(one["songs"] for one in unknown.values())
    whole, bounds = highest_bound(unknown, rate), {}
    if clip:
        bounds = {int(n): highest_bound(of_kinds, rate) for n, of_kinds in facts["shorter"].items()}
        bounds |= {clip << doubled: highest_bound(unknown, rate / 2**doubled) for doubled in range(DOUBLINGS + 1)}
    scores = {n: round(min(found, HIGHEST), 3) for n, found in bounds.items()}
    score = round(min(whole, HIGHEST), 3)
    said = (
        f"limits: score {score:g}{by_seconds(scores, clip)}, margin {limits.min_margin:g}, {limits.windows} windows, for "
        f"{100 * false_positives:g} % of unknown recordings recognised; learned from {songs} validation songs ({path})"
    )
    if songs < ENOUGH:
        said += ", which are too few to rely on"
    if limits.windows != known_windows:
        said += f", with {known_windows} windows"
    if not clip:
        said += "; of recordings that are shorter or longer than these songs, more may be recognised: calibrate the model again"
    if beyond := [f"{sequence_seconds(n):g} s" for n, found in bounds.items() if found > HIGHEST and n < clip]:
        said += f"; for recordings of {', '.join(beyond)} the model cannot keep that rate in a library of this size"
    if whole > HIGHEST:
        said += "; in a library of this size the model cannot keep that rate"
    return replace(limits, min_score=score, by_segments=tuple(sorted(scores.items()))), said


def by_seconds(scores: Mapping[int, float], clip: int | None) -> str:
    """The length ``clip`` (in segments) and the scores for shorter ones, as a part of a sentence; '' if no length is known."""
    if not clip:
        return ""
    shorter = [f"{sequence_seconds(n):g} s: {score:g}" for n, score in scores.items() if n < clip]
    return f" at {sequence_seconds(clip):g} s ({', '.join([*shorter, 'longer: more'])})"


def highest_bound(of_kinds: Mapping[str, Mapping], rate: float) -> float:
    """The bound (``bound``) that is highest among kinds of recordings."""
    return float(max(bound(one["mean"], one["sd"], one["songs"], rate) for one in of_kinds.values()))


def bound(mean: float, sd: float, count: int, rate: float) -> float:
    """One-sided prediction bound: ``rate`` is the probability that the next value after ``count`` normal ones exceeds it."""
    if count < 2:
        return 1.0
    return mean + sd * np.sqrt(1 + 1 / count) * -stdtrit(count - 1, rate)
