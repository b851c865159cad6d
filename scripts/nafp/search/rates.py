"""The rates at which sequences are searched: an option of every index. Without Faiss, since tables read it too."""

from collections.abc import Mapping, Sequence
from typing import Any

RATES = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": {"type": "number", "minimum": 0.5, "maximum": 2},
    "description": "song seconds a second of the query, each of which the search tries; of any type, [1] if not given",
}


def rates_of_index(options: Mapping[str, Any]) -> Sequence[float]:
    """The rates at which sequences are searched with an index of these options."""
    return options.get("rates", [1.0])


def without_rates(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that an index is built and opened with."""
    return {name: value for name, value in options.items() if name != "rates"}
