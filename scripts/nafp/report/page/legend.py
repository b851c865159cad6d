"""What the names on the page mean: columns, augmentation chains, index types, query sets."""

import inspect
from collections.abc import Mapping
from typing import Any

import pandas as pd

from nafp.grid import FILES
from nafp.report.tables.layout import COLUMN_MEANINGS
from nafp.search.types import INDEX_TYPES

NAMES = ("aug", "index", "query_set")  # fields whose values are names that the config explains


def legend(config: Mapping[str, Any], cells: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Field -> the names that occur in the cells -> meaning; also "column", the headings of tables."""
    explained = {"aug": _chains(config), "index": _indexes(config), "query_set": _query_sets(config)}
    used = {name: cells[name].dropna().unique() if name in cells else [] for name in NAMES}
    known = {
        name: {value: explained[name][value] for value in used[name] if value in explained[name]} for name in NAMES
    }
    return {"column": dict(COLUMN_MEANINGS), **known}


def steps(chain: list[Mapping[str, Any]]) -> str:
    """A chain on one line, as in the config: "time_offset (max_s 0.2), background (snr_db 0 to 10)"."""
    return ", ".join(_step(*next(iter(step.items()))) for step in chain) or "no augmentation"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings of a step on one line; ranges as "0 to 10"."""
    return ", ".join(f"{key} {_value(value)}" for key, value in settings.items())


def _step(name: str, settings: Mapping[str, Any] | None) -> str:
    return f"{name} ({settings_text(settings)})" if settings else name


def _value(value: Any) -> str:
    numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(one, (int, float)) for one in value)
    if numbers:
        return f"{value[0]:g} to {value[1]:g}" if value[0] != value[1] else f"{value[0]:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _chains(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"augmentation chain: {steps(chain)}" for name, chain in config.get("chains", {}).items()}


def _indexes(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: _index(name, dict(options or {})) for name, options in config.get("indexes", {}).items()}


def _index(name: str, options: dict[str, Any]) -> str:
    kind = INDEX_TYPES.get(options.pop("type", name))
    what = inspect.getdoc(kind).splitlines()[0].replace("``", "").rstrip(".") if kind else "an index"
    shown = settings_text({key: value for key, value in options.items() if value is not None})
    return f"{what}; {shown}" if shown else what


def _query_sets(config: Mapping[str, Any]) -> dict[str, str]:
    sets = {name: f"the test songs, degraded: {steps(chain)}" for name, chain in config.get("query_sets", {}).items()}
    return {FILES: "the data set's own queries", **sets}
