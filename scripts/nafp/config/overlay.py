"""Configs laid over each other, and the sections of one recipe."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from nafp.yaml_text import parse_yaml

EXPONENTIAL = re.compile(r"[-+]?\d+\.?\d*[eE][-+]?\d+")


def with_changes(section: Mapping, changes: Mapping) -> dict:
    """A section of the config with some of its keys, at any depth, replaced."""
    merged = dict(section)
    for key, value in changes.items():
        deeper = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = with_changes(merged[key], value) if deeper else value
    return merged


def named_run(config: Mapping, files: Iterable[Path | str]) -> Mapping:
    """The config, where a name of a run as ``run`` (``--config run=pretrained=NAME``) means the run that identifies.

    It took the place of the fields that ``files``, the config files given, have there; or it is from one of them.
    """
    if not isinstance(config.get("run"), str):
        return config
    named: Mapping = {"identify": {"run": config["run"]}}
    fields: Mapping = {}
    for file in files:
        section = (parse_yaml(Path(file).read_text(encoding="utf-8")) or {}).get("run")
        if isinstance(section, Mapping):
            fields = with_changes(fields, section)
    return with_changes({**config, "run": fields, "identify": config.get("identify", {})}, named)


def typed(value: object, given: object = None) -> object:
    """A part of the config, with numbers for what was meant as numbers.

    That is text like 1e-3, which YAML does not take for a number; and whatever of it was ``given`` on the command line,
    where Snakemake leaves what is inside braces as text: there, text becomes what YAML makes of it.
    """
    if isinstance(value, Mapping):
        given = given if isinstance(given, Mapping) else {}
        return {key: typed(inside, given.get(key)) for key, inside in value.items()}
    if isinstance(value, list):
        return [typed(inside, inside if value == given else None) for inside in value]
    if not isinstance(value, str):
        return value
    if EXPONENTIAL.fullmatch(value):
        return float(value)
    if value != given:
        return value
    try:
        meant = parse_yaml(value)
    except (yaml.YAMLError, ValueError):  # text with a colon; what looks like a date and is none
        return value
    return meant if meant is None or isinstance(meant, (bool, int, float)) else value


def of_recipe(config: Mapping, recipe: str) -> dict:
    """The config's ``features``, ``model`` and ``train`` as a recipe has them; another encoder keeps no options of this one."""
    sections, changes = {name: config[name] for name in ("features", "model", "train")}, config["recipes"][recipe]
    if changes.get("model", {}).get("encoder", sections["model"]["encoder"]) != sections["model"]["encoder"]:
        sections["model"] = {}
    return with_changes(sections, changes)


def differences(one: Mapping, other: Mapping, inside: str = "") -> list[str]:
    """Dotted keys of the values that differ between two nested mappings, also of those that only one of them has."""
    found = []
    for key in dict.fromkeys([*one, *other]):
        before, after = one.get(key), other.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{inside}{key}.")
        elif before != after or (key in one) != (key in other):
            found.append(f"{inside}{key}")
    return found
