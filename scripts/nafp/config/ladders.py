"""Ladders: one degradation at several strengths, written once in the config, as the query sets that they stand for.

``ladders: {noise: {strengths: [-10, 0], chain: [{background: {snr_db: [$, $]}}]}}`` stands for ``query_sets: {noise_m10: ...,
noise_0: ...}``, and a study's ``ladders: [noise]`` for ``query_set: [noise_m10, noise_0]``.
"""

import re
from collections.abc import Mapping
from typing import Any

from nafp.config.overlay import with_changes

HERE = "$"  # what the strength takes the place of in a ladder's chain
ALL = "all"
SET_NAME = r"[a-z][a-z0-9_]*"


def with_ladders(config: Mapping) -> dict:
    """The config with the query sets of its ladders among ``query_sets``, and with those that a study's ``ladders`` name
    after the ones of its ``query_set``. Nothing is checked."""
    sets = {name: chain for ladder in ladders_of(config) for name, (_, chain) in sets_of(ladder, config).items()}
    studies = {name: study and with_query_sets(study, config) for name, study in config["studies"].items()}
    return {**config, "query_sets": {**config["query_sets"], **sets}, "studies": studies}


def ladders_of(config: Mapping) -> dict[str, Mapping]:
    """The ladders of the config, without those that another file has taken out."""
    return {name: ladder for name, ladder in config["ladders"].items() if ladder}


def sets_of(ladder: str, config: Mapping) -> dict[str, tuple[float | str, list]]:
    """Query set -> the strength that it is for, and its chain, in the order of the strengths."""
    described = config["ladders"][ladder]
    return {
        set_name(ladder, strength): (strength, filled_in(described["chain"], value))
        for strength, value in strengths_of(described).items()
    }


def strengths_of(described: Mapping) -> dict[float | str, Any]:
    """Strength, a number or a name -> what stands for it in the chain; without those that another file has taken out."""
    strengths = described["strengths"]
    if not isinstance(strengths, Mapping):
        return {one: one for one in strengths}
    return {strength: value for strength, value in strengths.items() if value is not None}


def set_name(ladder: str, strength: float | str) -> str:
    """The query set of a strength: noise_m10 of -10, pitch_0p5 of 0.5, codec_mp3 of mp3."""
    text = strength if isinstance(strength, str) else f"{strength:g}".replace("-", "m")
    return f"{ladder}_{text.lower().replace('.', 'p').replace('-', '_')}"


def filled_in(part: Any, value: Any) -> Any:
    """A part of a chain with a value in the place of HERE."""
    if isinstance(part, Mapping):
        return {key: filled_in(inside, value) for key, inside in part.items()}
    if isinstance(part, list):
        return [filled_in(inside, value) for inside in part]
    return value if part == HERE else part


def ladders_named(study: Mapping, config: Mapping) -> list[str]:
    """The ladders of a study, in its order."""
    named = study.get("ladders", [])
    named = [named] if isinstance(named, str) else named
    return [*ladders_of(config)] if ALL in named else [*dict.fromkeys(named)]


def with_query_sets(study: Mapping, config: Mapping) -> Mapping:
    """A study with the query sets of its ladders in its ``query_set``; unknown ladders have none."""
    if "ladders" not in study:
        return study
    named = study.get("query_set", [])
    sets = [*([named] if isinstance(named, str) else named)]
    known = [ladder for ladder in ladders_named(study, config) if ladder in ladders_of(config)]
    sets += [name for ladder in known for name in sets_of(ladder, config)]
    return with_changes(study, {"query_set": [*dict.fromkeys(sets)]})


def problems_of_ladders(config: Mapping) -> list[str]:
    """What cannot be meant in the ladders, and studies' ladders that there are not, one sentence each.

    The config fits the schema.
    """
    problems, taken = [], {name: "query_sets" for name in config["query_sets"]}
    for ladder, described in ladders_of(config).items():
        if filled_in(described["chain"], None) == described["chain"]:
            problems.append(f"ladders.{ladder}.chain: no option has the value {HERE}, where the strength belongs")
        if described.get("scale") == "log" and any(not _is_positive(one) for one in strengths_of(described)):
            problems.append(f"ladders.{ladder}: scale: log is one of numbers above 0; leave it out")
        for strength in strengths_of(described):
            name = set_name(ladder, strength)
            if not re.fullmatch(SET_NAME, name):
                problems.append(
                    f"ladders.{ladder}.strengths: {strength!r} would name a query set {name}, but a name is "
                    "lower-case letters, digits and _; give it another name, as in {name: value}"
                )
            elif name in taken:
                problems.append(f"ladders.{ladder}: {strength!r} names the query set {name}, as {taken[name]} does too")
            taken.setdefault(name, f"ladders.{ladder}")
    known = [ALL, *ladders_of(config)]
    for name, study in config["studies"].items():
        unknown = [ladder for ladder in ladders_named(study or {}, config) if ladder not in known]
        problems += [f"unknown ladder {one!r} in study {name!r}; known: {', '.join(known)}" for one in unknown]
        if "ladders" in (study or {}) and not ladders_named(study, config):
            problems.append(
                f"study {name!r}: ladders: all, but the config has none; lay config/robustness.yaml over it"
            )
    return problems


def _is_positive(strength: float | str) -> bool:
    return isinstance(strength, (int, float)) and strength > 0


def described_ladders(study: Mapping, config: Mapping) -> list[dict[str, Any]]:
    """What figures need to know of a study's ladders: name, title, unit, scale, ``sets``, query set -> strength, ``curve``,
    whether those are several numbers, and ``limits``, whether it is asked how far it can be climbed.

    The study's other query sets are one more, the first, for comparison: without limits, their names for strengths. Empty for
    a study without ladders.
    """
    if "ladders" not in study:
        return []
    found = []
    for name in ladders_named(study, config):
        ladder = config["ladders"][name]
        strengths = {one: strength for one, (strength, _) in sets_of(name, config).items()}
        curve = len(strengths) > 1 and all(isinstance(one, (int, float)) for one in strengths.values())
        words = {"title": name.replace("_", " "), "unit": "", "scale": "linear"}
        words |= {key: ladder[key] for key in words if key in ladder}
        found.append({"name": name, **words, "sets": strengths, "curve": curve, "limits": True})
    known = {one for ladder in ladders_named(study, config) for one in sets_of(ladder, config)}
    sets = study["query_set"] if isinstance(study["query_set"], list) else [study["query_set"]]
    others = {one: one.replace("_", " ") for one in sets if one not in known}
    first = {"name": "for comparison", "title": "for comparison", "unit": "", "scale": "linear", "sets": others}
    return [{**first, "curve": False, "limits": False}, *found] if others else found
