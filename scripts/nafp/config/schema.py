"""The schema of the config, and what its errors mean to a person."""

from collections.abc import Mapping
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator, ValidationError

# Place in the schema -> options by name, as a registry of the library states them (JSON Schemas). What has an entry here
# has none in schemas/config.schema.yaml, so that an option is written down once, beside the code that takes it.
REGISTRIES: dict[tuple[str, ...], Mapping[str, Mapping]] = {}


def schema(root: Path) -> dict:
    """The schema: ``schemas/config.schema.yaml`` of the workflow in ``root``, with the options of the registries filled in."""
    found = yaml.safe_load((root / "schemas/config.schema.yaml").read_text(encoding="utf-8"))
    for place, options in REGISTRIES.items():
        part = found
        for name in place:
            part = part[name]
        part.setdefault("properties", {}).update(options)
    return found


def schema_problems(config: Mapping, root: Path) -> list[str]:
    """What in the config does not fit the schema, one sentence each."""
    return [sentence(error) for error in Draft202012Validator(schema(root)).iter_errors(config)]


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
        case "pattern":
            schemas = [error.schema, *([error.parent.schema] if error.parent else [])]
            about = next((f": {schema['description']}" for schema in schemas if "description" in schema), "")
            return f"{where}: {error.instance!r} does not match {error.validator_value!r}{about}"
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
