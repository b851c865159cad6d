"""Options of the config that are the fields of a dataclass: each field states its JSON Schema, so that both are written once."""

from collections.abc import Mapping
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
