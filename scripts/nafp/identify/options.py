"""What a person sets of identify, in the config and on the command line. Imported while jobs are planned."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nafp.errors import UserError
from nafp.options import POSITIVE, option
from nafp.search.types import index_type_of


@dataclass(frozen=True)
class Options:
    """When a recording counts as recognised, and how a library is searched: options of the config's section ``identify``."""

    false_positives: float = option(
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "share of unknown recordings that may be recognised, by which min_score is chosen",
        0.01,
    )
    min_score: float | None = option(
        {"type": ["number", "null"], "minimum": -1, "maximum": 1},
        "score of a match, at least: mean inner product of a window of 5 s; without (null) by the model's calibration, else 0.5",
        None,
    )
    min_margin: float = option(
        {"type": "number", "minimum": 0, "maximum": 2}, "difference to the score of the best other song, at least", 0.1
    )
    windows: int = option(POSITIVE, "number of windows that must agree", 3)
    index: str = option({"type": "string"}, "index of a library with more fingerprints than exact_up_to", "ivfpq-rr")
    exact_up_to: int = option({"type": "integer", "minimum": 0}, "fingerprints that are searched exhaustively", 10**6)


def check_index(name: str, options: Mapping[str, Any]) -> None:
    """Refuse an index that cannot be kept beside a library that grows."""
    if (backend := index_type_of(name, options).backend) != "Faiss":
        raise UserError(
            f"identify.index: {name} is a {backend} collection, which takes no additions here; use ivfpq-rr"
        )


def options_in(section: Mapping[str, Any]) -> Options:
    """The options that the config's section ``identify`` gives, among its other keys."""
    return Options(**{one.name: section[one.name] for one in fields(Options) if one.name in section})
