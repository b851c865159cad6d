"""The schema of the config, and what its errors mean to a person."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from nafp.augment.steps import STEPS
from nafp.datasets.sources import dataset_schema
from nafp.evaluation.metrics import METRICS
from nafp.evaluation.protocol import PROTOCOLS
from nafp.identify.options import Options as IdentifyOptions
from nafp.methods import METHODS
from nafp.model.encoders import ENCODERS, options_of_all
from nafp.options import is_integer, is_number, mistyped, options_schema, out_of_range
from nafp.search.rates import RATES
from nafp.search.types import INDEX_TYPES
from nafp.training import former_names
from nafp.yaml_text import parse_yaml

# Place in the schema -> options by name, as a registry of the library states them (JSON Schemas). What has an entry here
# has none in schemas/config.schema.yaml, so that an option is written down once, beside the code that takes it.
REGISTRIES: dict[tuple[str, ...], Mapping[str, Mapping]] = {
    ("properties", "methods"): {name: options_schema(each) for name, each in METHODS.items()},
    ("properties", "indexes"): {name: options_schema(each, rates=RATES) for name, each in INDEX_TYPES.items()},
    ("$defs", "chain", "items"): {name: step.schema for name, step in STEPS.items()},
    ("$defs", "model"): options_of_all(),
    ("properties", "identify"): options_schema(IdentifyOptions)["properties"],
}

DATASET = ("properties", "dataset", "anyOf", 1)  # a data set that is described, to which its sources add their options

# Places whose entries are called by a name of the registry, or otherwise and state that name as ``type``.
TYPED = {("properties", "indexes"), ("properties", "methods")}

# YAML has NaN and infinities, which no bound refuses; and JSON Schema takes 1e6 for an integer, which range() and slices do not.
Validator = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"number": lambda _, value: is_number(value), "integer": lambda _, value: is_integer(value)}
    ),
)

# Place in the schema -> the names that are allowed there, those of a registry.
NAMES: dict[tuple[str, ...], Iterable[str]] = {
    ("properties", "studies", "additionalProperties", "properties", "matches", "items"): METRICS,
    ("properties", "search", "properties", "protocol"): PROTOCOLS,
    ("$defs", "model", "properties", "encoder"): ENCODERS,
}

# Place in the config (with * and ? as in file names) -> former name of a key: its present name, which the error states.
RENAMED: dict[str, Mapping[str, str]] = {
    "indexes.*": {
        "codes": "m",
        "bits": "nbits",
        "links": "M",
        "ef_construction": "efConstruction",
        "ef_search": "efSearch",
        "factor": "k_factor",
    },
    **dict.fromkeys(("train", "recipes.*.train"), former_names.FIELDS),
    **dict.fromkeys(("train.data", "recipes.*.train.data"), former_names.DATA),
}


def schema(root: Path) -> dict:
    """The schema: ``schemas/config.schema.yaml`` of the workflow in ``root``, with the options of the registries filled in."""
    found = parse_yaml((root / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    for place, options in REGISTRIES.items():
        part = part_at(found, place)
        if place in TYPED:
            options = {name: with_type(name, each) for name, each in options.items()}
            part["additionalProperties"] = of_stated_type(options)
        part.setdefault("properties", {}).update(options)
    dataset, sources = part_at(found, DATASET), dataset_schema()
    dataset["properties"] |= sources["properties"]
    dataset["allOf"] = sources["allOf"]
    for place, names in NAMES.items():
        part_at(found, place)["enum"] = list(names)
    return found


def part_at(found: dict, place: Iterable[str | int]) -> dict:
    """The part of a schema at a place."""
    for name in place:
        found = found[name]
    return found


def with_type(name: str, options: Mapping) -> dict:
    """The schema of an entry's options, which may state its type too."""
    return {**options, "properties": {"type": {"const": name}, **options["properties"]}}


def of_stated_type(options: Mapping[str, Mapping]) -> dict:
    """The schema of an entry that must state its type, which decides on its other options."""
    by_type = [{"if": {"properties": {"type": {"const": name}}}, "then": dict(each)} for name, each in options.items()]
    return {"type": "object", "required": ["type"], "properties": {"type": {"enum": [*options]}}, "allOf": by_type}


def schema_problems(config: Mapping, root: Path) -> list[str]:
    """What in the config does not fit the schema, one sentence each."""
    errors = Validator(schema(root)).iter_errors(config)
    return [sentence(error) for error in errors if not follows_from_a_former_name(error)]


def place_of(error: ValidationError) -> str:
    """Where in the config an error is, as a dotted path."""
    return ".".join(str(part) for part in error.absolute_path) or "config"


def renamed_at(place: str) -> dict[str, str]:
    """Former name of a key -> its present one, for the keys of a place in the config."""
    return {old: new for pattern, names in RENAMED.items() if fnmatch(place, pattern) for old, new in names.items()}


def follows_from_a_former_name(error: ValidationError) -> bool:
    """Whether a key is missing because it is there by its former name, which is an error of its own."""
    missing = error.message.removesuffix(" is a required property").strip("'")
    renamed = renamed_at(place_of(error)).items() if error.validator == "required" else ()
    return any(new == missing and old in error.instance for old, new in renamed)


def sentence_of_unknown_keys(error: ValidationError, where: str) -> str:
    """The sentence for keys that the schema does not know: the present names of former ones, or which keys there are."""
    known = sorted(error.schema.get("properties", {}))
    unknown, renamed = sorted(set(error.instance) - set(known)), renamed_at(where)
    sentences = [f"{where}: {old!r} is now called {renamed[old]!r}" for old in unknown if old in renamed]
    if others := [name for name in unknown if name not in renamed]:
        sentences.append(f"unknown key {', '.join(map(repr, others))} in {where}; known: {', '.join(known)}")
    return "; ".join(sentences)


def sentence(error: ValidationError) -> str:
    """What a schema error means to the person who wrote the config."""
    where = place_of(error)
    match error.validator:
        case "additionalProperties":
            return sentence_of_unknown_keys(error, where)
        case "enum":
            return f"{where}: {error.instance!r} is not known; known: {', '.join(map(str, error.validator_value))}"
        case "required":
            missing = error.message.removesuffix(" is a required property")
            about = error.schema.get("properties", {}).get(missing.strip("'"), {}).get("description")
            return f"{where}: {missing} is missing" + (f": {about}" if about else "")
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            return f"{where}: {out_of_range(error.instance, error.schema)}"
        case "multipleOf":
            return f"{where}: {error.instance!r} is not a multiple of {error.validator_value}"
        case "type":
            return f"{where}: {mistyped(error.instance, error.validator_value)}"
        case "pattern":
            schemas = [error.schema, *([error.parent.schema] if error.parent else [])]
            about = next((f": {schema['description']}" for schema in schemas if "description" in schema), "")
            return f"{where}: {error.instance!r} does not match {error.validator_value!r}{about}"
        case "anyOf":
            return sentence_of_alternatives(error, where)
    return f"{where}: {error.message}"


def sentence_of_alternatives(error: ValidationError, where: str) -> str:
    """The sentence of the alternative that has the value's type; if none has, which types there are."""
    others = [e for e in error.context if e.validator == "type" and not e.path]
    fitting = [e for e in error.context if e.schema_path[0] not in {e.schema_path[0] for e in others}]
    if fitting:
        return sentence(fitting[0])
    types = dict.fromkeys(str(e.validator_value) for e in others)
    return f"{where}: {mistyped(error.instance, [*types])}"
