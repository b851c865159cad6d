"""Missed queries on the page, and which songs are hard: what `nafp.report.misses.replay` stores, in words."""

from collections.abc import Mapping
from typing import Any

from nafp.grid import FILES
from nafp.report.misses.kinds import KINDS
from nafp.report.tables.ladders import strength_text

NARROW = "found, by the smallest margins"
OWN = "the data set's own queries"


def missed_of(misses: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows: queries, with all that is said of them; the choices of its filters; the table of songs; a note.

    ``runs``: (number, short name) of each; the first is the one whose misses are heard.
    """
    names, runs = misses.get("names", {}), misses.get("runs", [])
    sets = [set_of(one) for one in misses.get("sets", [])]
    queries = [query_of(one, sets[one["set"]], runs, names) for one in misses.get("queries", [])]
    kinds = [kind for kind in (*KINDS, NARROW) if any(one["kind"] == kind for one in queries)]
    songs, found = misses.get("songs", {}), sum(one["found"] for one in queries)
    return {
        "media": misses.get("media", {}),
        "queries": queries,
        "heard": {"missed": len(queries) - found, "found": found},
        "degradations": list(dict.fromkeys(one["set"]["degradation"] for one in queries)),
        "kinds": kinds,
        "runs": [(number, names.get(run, run)) for number, run in enumerate(runs)],
        "seconds": queries[0]["seconds"] if queries else 0,
        "songs": songs and {**songs, "runs": [names.get(run, run) for run in songs["runs"]]},
        "seen": misses.get("seen", False),
        "note": misses.get("note", ""),
    }


def set_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """A query set, with its degradation and strength in words."""
    own = one["name"] == FILES
    strength = "" if one["strength"] == "" else f"{strength_text(one['strength'])} {one['unit']}".strip()
    degradation = OWN if own else one["degradation"]
    return {**one, "degradation": degradation, "title": f"{degradation}, {strength}" if strength else degradation}


def query_of(
    one: Mapping[str, Any], query_set: Mapping[str, Any], runs: list[str], names: Mapping[str, str]
) -> dict[str, Any]:
    """A query with its set, the kind of its miss, the place of the right answer in words, and what each other run answers."""
    missed_by = [0] * (not one["found"]) + [runs.index(other["run"]) for other in one["others"] if not other["found"]]
    found_by = [0] * one["found"] + [runs.index(other["run"]) for other in one["others"] if other["found"]]
    return {
        **one,
        "set": query_set,
        "kind": NARROW if one["found"] else one["kind"],
        "why": why(one, query_set["placed"]),
        "missed_by": missed_by,
        "found_by": found_by,
        "others": [{**other, "name": names.get(other["run"], other["run"])} for other in one["others"]],
    }


def why(one: Mapping[str, Any], placed: bool) -> str:
    """Where the right answer is in the ranking, and by how much it lost; of a query that is found, by how much it won."""
    right, answered = one["right"], one["answered"]
    what = "The right segment" if placed else "The right song"
    if not answered and not one["found"]:
        return "Nothing was answered."
    score, best = right.get("score"), answered.get("score")
    if one["found"]:
        return (
            f"{what} is first, {score - best:.4f} before the next."
            if None not in (score, best)
            else f"{what} is first."
        )
    if score is None:
        floor = "" if one["floor"] is None else f", the last of which has {one['floor']:.4f}"
        return f"{what} is not among the {one['answers']} best{floor}."
    behind = "level with the answer" if best is None or score >= best else f"{best - score:.4f} behind the answer"
    return f"{what} is number {one['rank']}, {behind}." if one["rank"] else f"{what} is {behind}, and has no rank."
