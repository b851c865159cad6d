"""Matches held against annotations: which part of which reference is heard from when to when in a query.

The three levels of the Audio Fingerprinting Benchmark Toolkit (Pexeso, 2023), as its program computes them: *files* (was the
pair of files found), *boxes* (which share of the annotated area in reference and query; arXiv 2203.02654, 4.2), *seconds* (how
many). Recall and precision are means over the pairs of a query and a reference that are annotated or matched. A pair that is
only matched has recall 0, one that is only annotated precision 1. F weighs precision nine times: 10 R P / (9 R + P).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nafp.errors import UserError
from nafp.text import FORMULA
from nafp.walk import is_audio

Span = tuple[float, float]  # seconds, without the end
PAIR = ["query_id", "reference_id"]
ENDS = ["reference_begin", "reference_end", "query_begin", "query_end"]
IDENTIFIED = {"query", "from_s", "to_s", "song", "offset_s"}  # columns of the table that `nafp identify` writes
TIMES = ("from_s", "to_s", "offset_s")  # columns that say from when to when, in seconds
COPIES = "copies"  # column of songs that are the same recording as the one that is named
COUNTS = ["tp", "fp", "fn", "up"]  # true and false positives, false negatives, positives of which neither is known


@dataclass(frozen=True)
class Box:
    """A part of a reference that is heard in a query. ``tempo``: reference seconds for a second of the query."""

    reference: Span
    query: Span
    tempo: float


def read_boxes(path: Path | str) -> pd.DataFrame:
    """A table of annotations or matches, in the toolkit's format or as `nafp identify` writes it: columns PAIR and, unless it
    names files alone, ENDS and tempo (as a factor); of `nafp identify` also COPIES, as a list of names.

    UserError if it is no such table, with the row (the first one below the header is 2) if one is wrong.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a CSV ({' '.join(str(error).split())})") from error
    table.index += 2
    if set(table.columns) >= IDENTIFIED:
        return of_identified(table, path)
    if absent := [name for name in PAIR if name not in table]:
        raise UserError(
            f"{path}: has no column {' and no '.join(absent)}; a table of annotations or matches has {', '.join(PAIR + ENDS)}, "
            f"the last four only if it says from when to when; the table of identify has {', '.join(sorted(IDENTIFIED))}"
        )
    if any(name not in table for name in ENDS):
        return table[PAIR]
    numbers = table[ENDS].apply(pd.to_numeric, errors="coerce")
    for begin, end in (ENDS[:2], ENDS[2:]):
        bad = ~(numbers[begin].ge(0) & numbers[end].gt(numbers[begin]))
        for number, row in table[bad].head(1).iterrows():
            raise UserError(
                f"{path}: row {number}: {begin} {row[begin]!r} and {end} {row[end]!r} are no interval in seconds"
            )
    tempo = pd.to_numeric(table["tempo"].replace("", "100"), errors="coerce") / 100 if "tempo" in table else 1.0
    found = table[PAIR].join(numbers).assign(tempo=tempo)
    for number, _ in found[~found["tempo"].gt(0)].head(1).iterrows():
        raise UserError(f"{path}: row {number}: tempo {table.at[number, 'tempo']!r} is no number of percent")
    return found


def of_identified(table: pd.DataFrame, path: Path | str) -> pd.DataFrame:
    """The rows of `nafp identify` in which a song was recognised, as matches: names without folder and suffix, whole seconds.

    UserError, with the row, for times that are none or that leave nothing of the song.
    """
    found = table[table["song"].ne("")]
    times = found[[*TIMES]].apply(pd.to_numeric, errors="coerce").astype(float)
    from_s, to_s, offset_s = (times[name] for name in TIMES)
    ends = {"reference_begin": offset_s.clip(lower=0), "reference_end": offset_s + to_s - from_s}
    good = from_s.ge(0) & to_s.gt(from_s) & ends["reference_end"].gt(0) & times.abs().max(axis=1).lt(math.inf)
    for number, row in found[~good].head(1).iterrows():
        said = ", ".join(f"{name} {row[name]!r}" for name in TIMES)
        raise UserError(f"{path}: row {number}: {said} are no times in seconds; let identify write the table again")
    ends |= {"query_begin": from_s, "query_end": to_s}
    names = {"query_id": found["query"].map(identifier), "reference_id": found["song"].map(identifier)}
    whole = {name: value.map(math.floor if name.endswith("begin") else math.ceil) for name, value in ends.items()}
    copies = found[COPIES] if COPIES in found else pd.Series("", index=found.index)
    copies = [[identifier(name) for name in text.split("; ")] if text else [] for text in copies]
    return pd.DataFrame({**names, **whole}, index=found.index).assign(tempo=1.0, copies=copies)


def with_annotated_copies(matches: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """The matches without the column COPIES: where the song is not annotated in its query and a copy of it is, that copy.

    Its times are those of the song that was named, since no others are known.
    """
    if COPIES not in matches:
        return matches
    annotated = {query: set(rows) for query, rows in annotations.groupby("query_id")["reference_id"]}
    taken = []
    for query, song, copies in matches[[*PAIR, COPIES]].itertuples(index=False):
        there = annotated.get(query, set())
        taken.append(next((name for name in (song, *copies) if name in there), song))
    return matches.drop(columns=COPIES).assign(reference_id=taken)


def identifier(name: str) -> str:
    """The toolkit's name of a file: without folders, and without a suffix of sound."""
    name = name[1:] if name.startswith("'") and name[1:].startswith(FORMULA) else name  # as spreadsheet_cell has it
    name = name.rsplit("/", 1)[-1]
    return name.rsplit(".", 1)[0] if is_audio(name) else name


def judge(annotations: pd.DataFrame, matches: pd.DataFrame) -> pd.DataFrame:
    """A row a level and pair: level, query_id, reference_id, recall, precision (0..1), and the COUNTS of files and seconds.

    Boxes and seconds only if both tables say from when to when.
    """
    sides = [{pair: rows for pair, rows in table.groupby(PAIR)} for table in (annotations, matches)]
    timed = all("tempo" in table for table in (annotations, matches))
    rows = []
    for pair in sorted(sides[0].keys() | sides[1].keys()):
        there = [pair in side for side in sides]
        counts = {"tp": int(all(there)), "fp": int(not there[0]), "fn": int(not there[1]), "up": 0}
        levels = {"files": counts | rates(**counts)}
        if timed:
            annotated, matched = (boxes(side[pair]) if pair in side else [] for side in sides)
            levels["boxes"] = of_boxes(annotated, matched)
            counts = of_seconds(annotated, matched)
            levels["seconds"] = counts | rates(**counts)
        rows += [{"level": level, **dict(zip(PAIR, pair, strict=True)), **found} for level, found in levels.items()]
    return pd.DataFrame(rows, columns=["level", *PAIR, "recall", "precision", *COUNTS])


def summarised(judged: pd.DataFrame) -> pd.DataFrame:
    """A row a level: pairs; recall, precision and F in percent, means over pairs; the sums of COUNTS, and recall and precision of
    these sums."""
    by_level = judged.groupby("level", sort=False)
    found = 100 * by_level[["recall", "precision"]].mean()
    found["F"] = (10 * found["recall"] * found["precision"] / (9 * found["recall"] + found["precision"])).fillna(0)
    found.insert(0, "pairs", by_level.size())
    sums = by_level[COUNTS].sum(min_count=1)
    for rate, missed in (("recall", "fn"), ("precision", "fp")):
        sums[f"{rate} of all"] = 100 * sums["tp"] / (sums["tp"] + sums[missed])
    return found.join(sums)


def rates(tp: float, fp: float, fn: float, up: float) -> dict[str, float]:
    """Recall and precision of counts."""
    return {"recall": tp / (tp + fn) if tp + fn else 0.0, "precision": tp / (tp + fp) if tp + fp else 1.0}


def boxes(rows: pd.DataFrame) -> list[Box]:
    """The rows of a pair."""
    return [Box((a, b), (c, d), tempo) for a, b, c, d, tempo in rows[[*ENDS, "tempo"]].itertuples(index=False)]


def overlap(a: Span, b: Span) -> Span | None:
    """What two spans share; None if nothing."""
    begin, end = max(a[0], b[0]), min(a[1], b[1])
    return (begin, end) if begin < end else None


def length(span: Span) -> float:
    return span[1] - span[0]


def covered(spans: Iterable[Span]) -> float:
    """Seconds that some spans cover together."""
    total, until = 0.0, -math.inf
    for begin, end in sorted(spans):
        total += max(end - max(begin, until), 0)
        until = max(until, end)
    return total


def shared(box: Box, others: Sequence[Box]) -> tuple[float, float]:
    """Seconds of a box, in the reference and in the query, that are in the others: where one overlaps it in both."""
    both = [(overlap(box.reference, other.reference), overlap(box.query, other.query)) for other in others]
    parts = [(reference, query) for reference, query in both if reference and query]
    return covered(reference for reference, _ in parts), covered(query for _, query in parts)


def of_boxes(annotated: Sequence[Box], matched: Sequence[Box]) -> dict[str, float]:
    """Recall and precision of a pair as shares of area: of the reference's seconds, times that of the query's."""

    def share(some: Sequence[Box], others: Sequence[Box], if_none: float) -> float:
        if not some:
            return if_none
        inside = [shared(box, others) for box in some]
        of_reference = sum(one for one, _ in inside) / sum(length(box.reference) for box in some)
        return of_reference * sum(one for _, one in inside) / sum(length(box.query) for box in some)

    return {"recall": share(annotated, matched, 0.0), "precision": share(matched, annotated, 1.0)}


def towards(value: float, target: float) -> float:
    """A number of seconds rounded to a whole one, in the direction of another."""
    return math.ceil(value) if target > value else math.floor(value)


def of_seconds(annotated: Sequence[Box], matched: Sequence[Box]) -> dict[str, float]:
    """The COUNTS of a pair, in seconds of the reference.

    Seconds of a match that meet an annotation in the query but not in the reference, as in a refrain, are ``up``.
    """
    tp = fn = fp = up = 0.0
    for box in annotated:
        in_reference, in_query = shared(box, matched)
        tp += min(in_reference, towards(in_query * box.tempo, length(box.reference)))
        fn += max(length(box.reference) - in_reference, towards((length(box.query) - in_query) * box.tempo, 0))
    for box in matched:
        met = [(one, span) for one in annotated if (span := overlap(box.query, one.query))]
        tempo = met[-1][0].tempo if met else length(box.reference) / length(box.query)
        in_reference, whole = shared(box, annotated)[0], length(box.reference)
        in_query = towards(covered(span for _, span in met) * tempo, whole)
        surplus = towards(length(box.query) * tempo, whole) - in_query
        fp += max(whole - max(in_reference, in_query), surplus, 0)
        up += abs(in_reference - in_query)
    return {"tp": tp, "fp": fp, "fn": fn, "up": up}
