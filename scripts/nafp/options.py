"""Options that are the fields of a dataclass: each field states its JSON Schema, so that both are written once.

The config is checked by those schemas (`nafp.config.schema`); what a number lacks is said here, for the config and for the
command line in the same words.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, field, fields
from typing import Any

POSITIVE = {"type": "integer", "minimum": 1}


def option(schema: Mapping[str, Any], description: str = "", default: Any = MISSING) -> Any:
    """A field of a dataclass that a config sets: its JSON Schema, what it means, and its value if the config does not say."""
    return field(default=default, metadata={**schema, **({"description": description} if description else {})})


def options_schema(options: type, **others: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON Schema of the options that a dataclass takes, and of others. Those without a default are required."""
    taken: list[Field] = [one for one in fields(options) if one.init and one.metadata]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [one.name for one in taken if one.default is MISSING],
        "properties": {one.name: dict(one.metadata) for one in taken} | others,
    }


def is_number(value: object) -> bool:
    """Whether a value is a number as JSON has them: neither a truth value, nor NaN, nor infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_integer(value: object) -> bool:
    """Whether a value is a whole number and written as one: 1000000 is, 1.0e+6 and true are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def number_of(text: str, schema: Mapping[str, Any]) -> float:
    """The number that a text of the command line is; ValueError says why the schema (integer or number) does not take it."""
    value = _read(text)
    whole = "integer" in schema["type"]
    if isinstance(value, str) or not (is_integer(value) if whole else is_number(value)):
        raise ValueError(mistyped(value, schema["type"]))
    above = schema.get("minimum", -math.inf) <= value and schema.get("exclusiveMinimum", -math.inf) < value
    if not (above and value <= schema.get("maximum", math.inf) and value < schema.get("exclusiveMaximum", math.inf)):
        raise ValueError(out_of_range(value, schema))
    return value


def _read(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def mistyped(value: object, types: str | Sequence[str]) -> str:
    """What is wrong with a value that has none of some JSON types."""
    known = [types] if isinstance(types, str) else types
    hint = "; put it in quotes" if known == ["string"] else ""
    if "integer" in known and isinstance(value, float) and value.is_integer():
        hint = f"; write {int(value)}"
    return f"{value!r} is not of type {' or '.join(known)}{hint}"


def out_of_range(value: float, schema: Mapping[str, Any]) -> str:
    """What is wrong with a number outside the bounds of a schema."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", "any"))
    high = schema.get("maximum", schema.get("exclusiveMaximum", "any"))
    excluded = [str(schema[end]) for end in ("exclusiveMinimum", "exclusiveMaximum") if end in schema]
    without = f", {' and '.join(excluded)} excluded" if excluded else ""
    return f"{value!r} is out of range; allowed: {low} to {high}{without}"
