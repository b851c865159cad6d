"""The experiment as tables: studies in the config -> runs to train and cells to score.

A *run* is a model to train and is named by its fields, ``aug=full_bsz=120_dim=64_loss=ntxent_seed=0``. A *cell* is a run
searched with one index type. A *study* is what it varies: ``{"bsz": [240, 120], "aug": "full"}``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

from nafp.errors import UserError

RUN_FIELDS = ("aug", "bsz", "dim", "loss", "seed")


@dataclass(frozen=True)
class Cell:
    """A run's name and the index type it is searched with."""

    run: str
    index: str


def run_name(fields: Mapping) -> str:
    """The fields of a run -> its name in paths."""
    return "_".join(f"{name}={fields[name]}" for name in RUN_FIELDS)


def parse_run(name: str) -> dict:
    """A run's name in a path -> its fields; numbers become int."""
    match = re.fullmatch("_".join(f"{field}=(?P<{field}>.+?)" for field in RUN_FIELDS), name)
    if not match:
        raise UserError(f"{name!r} is not a run; a run is named like aug=full_bsz=120_dim=64_loss=ntxent_seed=0")
    return {field: int(value) if value.isdecimal() else value for field, value in match.groupdict().items()}


def study_cells(study: Mapping, config: Mapping) -> list[Cell]:
    """All combinations of what a study varies, on top of the config's ``run`` and ``search.index``."""
    fields = {**config["run"], "index": config["search"]["index"]}
    fields |= {name: value for name, value in study.items() if name != "question"}
    choices = [value if isinstance(value, list) else [value] for value in fields.values()]
    combinations = (dict(zip(fields, chosen, strict=True)) for chosen in product(*choices))
    return list(dict.fromkeys(Cell(run_name(c), c["index"]) for c in combinations))


def varied_fields(study: Mapping) -> list[str]:
    """The names of the fields that a study gives more than one value."""
    return [name for name, value in study.items() if isinstance(value, list) and len(value) > 1]


def check_config(config: Mapping, schema_path: Path) -> None:
    """Raise UserError with one sentence a problem if the config does not fit the schema or names unknown things."""
    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    problems = [sentence(error) for error in Draft202012Validator(schema).iter_errors(config)]
    if not problems:
        problems = unknown_names(config)
    if problems:
        raise UserError("; ".join(problems))


def sentence(error: ValidationError) -> str:
    """What a schema error means to the person who wrote the config."""
    where = ".".join(str(part) for part in error.absolute_path) or "config"
    match error.validator:
        case "additionalProperties":
            known = sorted(error.schema.get("properties", {}))
            unknown = sorted(set(error.instance) - set(known))
            return f"unknown key {', '.join(map(repr, unknown))} in {where}; known: {', '.join(known)}"
        case "enum":
            return f"{where}: {error.instance!r} is not known; known: {', '.join(map(str, error.validator_value))}"
        case "required":
            return f"{where}: {error.message.replace(' is a required property', '')} is missing"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            low = error.schema.get("minimum", error.schema.get("exclusiveMinimum", "any"))
            high = error.schema.get("maximum", error.schema.get("exclusiveMaximum", "any"))
            return f"{where}: {error.instance!r} is out of range; allowed: {low} to {high}"
        case "multipleOf":
            return f"{where}: {error.instance!r} is not a multiple of {error.validator_value}"
        case "type":
            return f"{where}: {error.instance!r} is not of type {error.validator_value}"
        case "anyOf":
            return sentence_of_alternatives(error, where)
    return f"{where}: {error.message}"


def sentence_of_alternatives(error: ValidationError, where: str) -> str:
    """The sentence of the alternative that has the value's type; if none has, which types there are."""
    mistyped = {e.schema_path[0] for e in error.context if e.validator == "type" and not e.path}
    fitting = [e for e in error.context if e.schema_path[0] not in mistyped]
    if fitting:
        return sentence(fitting[0])
    types = dict.fromkeys(str(e.validator_value) for e in error.context if e.validator == "type" and not e.path)
    return f"{where}: {error.instance!r} is not of type {' or '.join(types)}"


def unknown_names(config: Mapping) -> list[str]:
    """Names used in ``run``, ``search`` and ``studies`` that the config does not define."""
    known = {"aug": config["chains"], "index": config["indexes"], "loss": config["losses"]}
    what = {"aug": "augmentation", "index": "index", "loss": "loss"}
    problems = []
    places = {"run": config["run"], "search": {"index": config["search"]["index"]}}
    places |= {f"study {name!r}": study for name, study in config["studies"].items() if study}
    for place, fields in places.items():
        for field, names in known.items():
            values = fields.get(field, [])
            for value in values if isinstance(values, list) else [values]:
                if value not in names:
                    problems.append(f"unknown {what[field]} {value!r} in {place}; known: {', '.join(names)}")
    reserved = [name for name in config["studies"] if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    problems += [f"study {name!r}: a name is lower-case letters, digits and _" for name in reserved]
    return problems
