"""What a study says, in a sentence or two made of its table: which configuration is best, by how much, whether by chance."""

from collections.abc import Mapping, Sequence

import pandas as pd

from nafp.evaluation.metrics import METRICS
from nafp.evaluation.statistics import LEVEL, fewest_differing
from nafp.report.tables.cells import plain
from nafp.report.tables.layout import one_decimal, signed
from nafp.report.tables.study import NOT_RUN, OURS

FIELDS = {"N": "N = ", "d": "d = ", "index": ""}  # columns that tell configurations apart, beside the method


def verdict(table: pd.DataFrame) -> str:
    """The verdict of a table of `study.study_table`, on its first kind of match, named if not exact; empty if nothing has run.

    The configuration that finds most of the shortest queries is held against the baseline, and the same two at the longest. A
    difference is significant if p is small and all seeds agree in the direction, as for the marks of the table. Being the best
    of k is corrected for: p is multiplied by k (Bonferroni), and the intervals are simultaneous. Those that were asked other
    queries than the baseline have no test, and do not take part.
    """
    ours = table[table["source"].eq(OURS) & table["state"].ne(NOT_RUN)]
    if ours.empty:
        return ""
    match = ours["match"].iloc[0]
    return f"By {match} hits, " * (match != "exact") + _of_match(ours, match)


def _of_match(ours: pd.DataFrame, match: str) -> str:
    """What one kind of match says."""
    first = ours[ours["match"].eq(match)]
    short, long = (first[first["query_s"].eq(first["query_s"].agg(end))] for end in ("min", "max"))
    names = dict(zip(short["row"], _names(short), strict=True))
    baseline, tested = short[short["baseline"]], short[short["p"].notna()]
    judged = short if baseline.empty or tested.empty else short[short["baseline"] | short["p"].notna()]
    best = judged.loc[judged["hit_rate_pct"].idxmax()]
    if len(short) == 1:
        return f"{names[best['row']]} finds {_rate(best)}."
    equal = judged["hit_rate_pct"].nunique() == 1
    all_same = f"All {len(judged)} find the same: {_rate(best)}"
    if baseline.empty or tested.empty:
        most = all_same if equal else f"{names[best['row']]} finds most: {_rate(best)}"
        return f"{most}. Nothing was tested: {_why_untested(ours, match)}."
    theirs, count, opening = names[baseline["row"].iloc[0]], len(tested), ""
    others = [names[row] for row in short["row"] if row not in judged["row"].tolist()]
    if equal or best["baseline"]:
        best = tested.loc[tested["minus_baseline"].idxmax()]
        most = "finds most" + " of those that were asked the same queries" * bool(others)
        worse = f"; {_worse(tested)}" if count > 1 else ""
        opening = f"{all_same}. " if equal else f"{theirs} {most}: {_rate(baseline.iloc[0])}{worse}. "
    against = {**best, "baseline_seeds": baseline["seeds"].iloc[0]}
    said = f"{opening}{names[best['row']]} finds {difference(against, theirs, count)}."
    for late in long[long["row"].eq(best["row"]) & long["p"].notna()].to_dict("records"):
        if late["query_s"] > best["query_s"]:
            more = f"{signed(late['minus_baseline'])} points{_chance(late, count, ', ')} ({_interval(late)})"
            said += f" At {late['query_s']:g} s: {more}."
    return said + f" Asked other queries, so not tested: {', '.join(others)}." * bool(others)


def _why_untested(ours: pd.DataFrame, match: str) -> str:
    """Why a kind of match has no test against the baseline."""
    if not ours["baseline"].any():
        return "the baseline has not run"
    if not METRICS[match].tested:
        return f"there is no paired test of {match} hits"
    if not ours.loc[ours["match"].eq(match), "baseline"].any():
        return f"{match} hits of the baseline are not known"
    return "no other was asked the same queries"


def _worse(tested: pd.DataFrame) -> str:
    """How many of the others are worse than the baseline beyond chance, for all of them together."""
    sure = (tested["p"] * len(tested)).lt(LEVEL) & tested["seeds_agree"].eq(True)
    worse = (sure & tested["minus_baseline"].lt(0)).sum()
    count = len(tested)
    if worse == count:
        return f"{'both' if count == 2 else f'all {count}'} others are worse beyond chance"
    return f"{worse or 'none'} of the {count} others {'are' if worse > 1 else 'is'} worse beyond chance"


def difference(row: Mapping, baseline: str, count: int) -> str:
    """How much more than the baseline a configuration finds, and whether that is more than chance.

    ``row``: query_s, songs, songs_differing, seeds, baseline_seeds, p, seeds_agree, and minus_baseline (points) with its interval
    for ``count`` comparisons.
    """
    points, more = one_decimal(abs(row["minus_baseline"])), "more" if row["minus_baseline"] >= 0 else "fewer"
    than = f"as many as {baseline}" if points == "0.0" else f"{points} points {more} than {baseline}"
    best = f"; corrected for {count} comparisons" if count > 1 else ""
    return f"{than} at {row['query_s']:g} s{_chance(row, count, ': ')} ({_interval(row)}, {_sample(row)}{best})"


def _chance(row: Mapping, count: int, after: str) -> str:
    """Whether a difference is significant, by p and by all seeds, ``after`` a mark; nothing where there is none to speak of."""
    if row["p"] * count < LEVEL:
        return f"{after}significant" if row["seeds_agree"] else f"{after}not significant, seeds disagree"
    if one_decimal(abs(row["minus_baseline"])) == "0.0":
        return ""
    if row["songs_differing"] < fewest_differing(count):
        return f"{after}{too_few(row['songs_differing'], count)}"
    if row["minus_baseline_low"] > 0 or row["minus_baseline_high"] < 0:  # Student's interval; the exact test decides
        return f"{after}not significant by the exact test, p = {min(row['p'] * count, 1):.2g}"
    return f"{after}not significant"


def too_few(differing: int, tests: int) -> str:
    """What is said where so few songs differ that no p could be small enough for so many tests."""
    differ = f"{differing} differ{'s' if differing == 1 else ''}"
    return f"too few songs to tell, as {differ} and at least {fewest_differing(tests)} are needed"


def _interval(row: Mapping) -> str:
    """The interval of a difference, or why there is none."""
    if pd.notna(row["minus_baseline_low"]):
        return f"95 % {signed(row['minus_baseline_low'])} to {signed(row['minus_baseline_high'])}"
    return why_no_interval(row["minus_baseline"], row["songs"])


def why_no_interval(points: float, songs: int) -> str:
    """Why a difference has no interval, in words."""
    if not points:
        return "no song differs"
    return "the same in every song" if songs > 1 else "no interval from one song"


def _sample(row: Mapping) -> str:
    """How many songs and seeds, those of the baseline where it has another number."""
    others = row.get("baseline_seeds", row["seeds"])
    against = f" against {'one' if others == 1 else others}" if others != row["seeds"] else ""
    seeds = f"{row['seeds']} seeds" if row["seeds"] > 1 else "one seed"
    return f"{row['songs']:,} song{'s' if row['songs'] != 1 else ''}, {seeds}{against}"


def _rate(row: Mapping) -> str:
    interval = f"95 % {one_decimal(row['low_pct'])} to {one_decimal(row['high_pct'])}"
    return f"{one_decimal(row['hit_rate_pct'])} % of queries of {row['query_s']:g} s ({interval}, {_sample(row)})"


def _names(rows: pd.DataFrame) -> Sequence[str]:
    """A name for each configuration: what tells it from the others."""
    several = [column for column in FIELDS if rows[column].nunique(dropna=False) > 1]
    common = set.intersection(*(set(method.split(", ")) for method in rows["method"])) if len(rows) > 1 else {"nafp"}
    found = []
    for row in rows.to_dict("records"):
        parts = [part for part in row["method"].split(", ") if part not in common]
        parts += [f"{FIELDS[column]}{plain(row[column])}" for column in several if pd.notna(row[column])]
        found.append(", ".join(parts) or row["method"])
    return found
