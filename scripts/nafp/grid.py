"""The experiment as tables: studies in the config -> runs to train and cells to score.

A *run* is a model to train and is named by its fields, ``aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0``. A
*cell* is a run searched with one index type. A *study* is what it varies: ``{"bsz": [240, 120], "aug": "full"}``. A
*recipe* is what else a run changes: ``{"train": {"precision": "bfloat16"}}``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from nafp.data.layout import FILES, IMAGE_STEPS, SAMPLE_RATE
from nafp.errors import UserError
from nafp.model.shapes import encoder_features

if TYPE_CHECKING:
    from jsonschema import ValidationError

RUN_FIELDS = ("aug", "bsz", "dim", "loss", "recipe", "seed")
EXPONENTIAL = re.compile(r"[-+]?\d+\.?\d*[eE][-+]?\d+")
NOISY = {"background": (0, 10), "speech": (0, 10)}  # steps that add noise -> their range of SNR if a chain names none


@dataclass(frozen=True)
class Cell:
    """A run's name, the index type it is searched with, and the query set that it is searched for."""

    run: str
    index: str
    query_set: str = FILES


def run_name(fields: Mapping) -> str:
    """The fields of a run -> its name in paths."""
    return "_".join(f"{name}={fields[name]}" for name in RUN_FIELDS)


def parse_run(name: str) -> dict:
    """A run's name in a path -> its fields; numbers become int."""
    match = re.fullmatch("_".join(f"{field}=(?P<{field}>.+?)" for field in RUN_FIELDS), name)
    if not match:
        raise UserError(
            f"{name!r} is not a run; a run is named like aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0"
        )
    return {field: int(value) if value.isdecimal() else value for field, value in match.groupdict().items()}


def with_changes(section: Mapping, changes: Mapping) -> dict:
    """A section of the config with some of its keys, at any depth, replaced."""
    merged = dict(section)
    for key, value in changes.items():
        deeper = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = with_changes(merged[key], value) if deeper else value
    return merged


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
    meant = yaml.safe_load(value) if value == given else value
    return meant if meant is None or isinstance(meant, (bool, int, float)) else value


def of_recipe(config: Mapping, recipe: str) -> dict:
    """The config's ``features``, ``model`` and ``train`` as a recipe has them."""
    sections = {name: config[name] for name in ("features", "model", "train")}
    return with_changes(sections, config["recipes"][recipe])


def default_fields(config: Mapping) -> dict:
    """The fields of a cell of which nothing is said."""
    return {**config["run"], "index": config["search"]["index"], "query_set": FILES}


def cell_of(fields: Mapping) -> Cell:
    """The fields of a cell -> the cell."""
    return Cell(run_name(fields), fields["index"], fields["query_set"])


def combinations(study: Mapping, config: Mapping) -> list[dict]:
    """The fields of every cell of a study: all combinations of what it varies, for each of its ``runs``, on top of the
    config's ``run`` and ``search.index``."""
    default = default_fields(config)
    varied = {name: value for name, value in study.items() if name in default}
    found = []
    for one in study.get("runs", [{}]):
        fields = {**default, **varied, **one}
        choices = [value if isinstance(value, list) else [value] for value in fields.values()]
        found += [dict(zip(fields, chosen, strict=True)) for chosen in product(*choices)]
    return found


def study_cells(study: Mapping, config: Mapping) -> list[Cell]:
    """The cells of a study, in its order, each once."""
    return list(dict.fromkeys(map(cell_of, combinations(study, config))))


def varied_fields(study: Mapping, config: Mapping) -> list[str]:
    """The names of the fields that differ between a study's cells; those it names first, in its order.

    ``snr_db`` is one of them if the level of the noise differs between its query sets.
    """
    cells = combinations(study, config)
    for cell in cells:
        cell["snr_db"] = snr_of(config["query_sets"].get(cell["query_set"], []))
    names = dict.fromkeys([*study, *cells[0]])
    return [name for name in names if name in cells[0] and len({cell[name] for cell in cells}) > 1]


def baseline(study: Mapping, config: Mapping) -> Cell:
    """The cell that a study's others are compared with: the first with the fields of ``baseline``, else of ``run``."""
    default = default_fields(config)
    cells = combinations(study, config)
    named = study.get("baseline", default)
    for fields in cells:
        if all(fields[name] == value for name, value in named.items()):
            return cell_of(fields)
    if "baseline" in study:
        raise UserError(f"baseline {named} is none of the study's cells")
    return cell_of(cells[0])


def snr_of(chain: Sequence[Mapping[str, Mapping | None]]) -> float | None:
    """The signal-to-noise ratio, in dB, that a chain's first noisy step mixes at, the middle of its range; None without."""
    for step in chain:
        for name, settings in step.items():
            if name in NOISY:
                return sum((settings or {}).get("snr_db", NOISY[name])) / 2
    return None


def check_config(config: Mapping, schema_path: Path) -> None:
    """Raise UserError with one sentence a problem if the config does not fit the schema or names unknown things."""
    from jsonschema import Draft202012Validator  # only where a config is checked: benchmarks/gpu.py does without it

    schema = yaml.safe_load(schema_path.read_text(encoding="utf-8"))
    problems = [sentence(error) for error in Draft202012Validator(schema).iter_errors(config)]
    if not problems:
        problems = unknown_names(config)
    if problems:
        raise UserError("; ".join(problems))


def sentence(error: "ValidationError") -> str:
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


def sentence_of_alternatives(error: "ValidationError", where: str) -> str:
    """The sentence of the alternative that has the value's type; if none has, which types there are."""
    mistyped = {e.schema_path[0] for e in error.context if e.validator == "type" and not e.path}
    fitting = [e for e in error.context if e.schema_path[0] not in mistyped]
    if fitting:
        return sentence(fitting[0])
    types = dict.fromkeys(str(e.validator_value) for e in error.context if e.validator == "type" and not e.path)
    return f"{where}: {error.instance!r} is not of type {' or '.join(types)}"


def unknown_names(config: Mapping) -> list[str]:
    """Names used in ``run``, ``search``, ``train`` and ``studies`` that the config does not define."""
    known = {"aug": "chains", "index": "indexes", "loss": "losses", "recipe": "recipes", "query_set": "query_sets"}
    what = {"aug": "augmentation", "query_set": "query set"}
    problems = []
    places = {"run": config["run"], "search": {"index": config["search"]["index"]}, "scale": config["scale"]}
    places["augmented"] = {"aug": config["augmented"]["aug"]}
    places["identify"] = {"index": config["identify"]["index"]}
    for name, study in config["studies"].items():
        if study:
            places[f"study {name!r}"] = study
            places |= {f"study {name!r}, run {i}": run for i, run in enumerate(study.get("runs", []))}
    for place, fields in places.items():
        for field, section in known.items():
            values, names = fields.get(field, []), [*([FILES] if field == "query_set" else []), *config[section]]
            for value in values if isinstance(values, list) else [values]:
                if value not in names:
                    problems.append(f"unknown {what.get(field, field)} {value!r} in {place}; known: {', '.join(names)}")
    for name in config["recipes"]:
        queries = of_recipe(config, name)["train"]["validation"]["queries"]
        if queries not in ("files", *config["chains"]):
            problems.append(
                f"unknown chain {queries!r} in train.validation.queries; known: files, {', '.join(config['chains'])}"
            )
    reserved = [name for name in config["studies"] if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
    problems += [f"study {name!r}: a name is lower-case letters, digits and _" for name in reserved]
    return problems or impossible_runs(config) + lost_baselines(config) + steps_without_effect(config)


def steps_without_effect(config: Mapping) -> list[str]:
    """Steps of chains that could do nothing where they are, one sentence each."""
    queries = {f"demo.queries.{part}": chain for part, chain in config["demo"]["queries"].items()}
    queries |= {f"query_sets.{name}": chain for name, chain in config["query_sets"].items()}
    own = config["dataset"].get("own", {}) if isinstance(config["dataset"], Mapping) else {}
    queries |= {"dataset.own.queries": own["queries"]} if "queries" in own else {}
    problems = []
    for place, chain in queries.items():
        if masks := [name for step in chain for name in step if name in IMAGE_STEPS]:
            problems.append(f"{place}: take out {', '.join(masks)}: masks act on log-mel images, but queries are sound")
    for place, chain in (queries | {f"chains.{name}": chain for name, chain in config["chains"].items()}).items():
        names = [name for step in chain for name in step]
        twice = [name for name in ("time_offset", "splice") if names.count(name) > 1]
        problems += [f"{place}: {name} acts once, but is there {names.count(name)} times" for name in twice]
    return problems


def lost_baselines(config: Mapping) -> list[str]:
    """Baselines that are no cell of their study, one sentence each."""
    problems = []
    for name, study in config["studies"].items():
        try:
            if study:
                baseline(study, config)
        except UserError as error:
            problems.append(f"study {name!r}: {error}")
    return problems


def impossible_runs(config: Mapping) -> list[str]:
    """Runs of the studies that could not be trained, one sentence each."""
    runs = {cell.run for study in config["studies"].values() if study for cell in study_cells(study, config)}
    return [problem for run in sorted(runs) for problem in problems_of(parse_run(run), config)]


def problems_of(fields: Mapping, config: Mapping) -> list[str]:
    """Why a run of these fields could not be trained."""
    sections, problems = of_recipe(config, fields["recipe"]), []
    features, width = sections["features"], sections["model"]["width"]
    count = encoder_features(width, features["n_mels"], SAMPLE_RATE // features["hop"] + 1)
    if count % fields["dim"]:
        problems.append(
            f"dim={fields['dim']} does not divide the {count} features of an encoder of width {width}; "
            f"change the dimension, or model.width to a multiple of {fields['dim'] // gcd(fields['dim'], count // width)}"
        )
    replicas = positives(config["losses"][fields["loss"]])
    if fields["bsz"] % (1 + replicas) or fields["bsz"] < 2 * (1 + replicas):
        each = "a replica" if replicas == 1 else f"{replicas} replicas"
        problems.append(
            f"bsz={fields['bsz']}: each anchor comes with {each}, so N is a multiple of {1 + replicas} "
            f"and at least {2 * (1 + replicas)}"
        )
    return problems


def positives(loss_options: Mapping) -> int:
    """Replicas of each anchor that a loss is given."""
    return loss_options.get("positives", 1)
