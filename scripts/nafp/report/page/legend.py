"""What the names on the page mean: columns, augmentation chains, index types, query sets."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nafp.augment.steps import with_options
from nafp.grid import FILES
from nafp.report.tables.layout import COLUMN_MEANINGS

NAMES = ("aug", "index", "query_set")  # fields whose values are names that the config explains


def legend(cells: pd.DataFrame, config: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Field -> the names that occur in the cells -> meaning; also "column", the headings of tables.

    ``kinds``: index of the config -> what its type is (`nafp.search.types.what_it_is`).
    """
    explained = {"aug": _chains(config), "index": _indexes(config, kinds), "query_set": _query_sets(config)}
    used = {name: cells[name].dropna().unique() if name in cells else [] for name in NAMES}
    known = {
        name: {value: explained[name][value] for value in used[name] if value in explained[name]} for name in NAMES
    }
    return {"column": dict(COLUMN_MEANINGS), **known}


def steps(chain: list[Mapping[str, Any]]) -> str:
    """A chain on one line, as in the config: "time_offset (max_s 0.2), background (snr_db 0 to 10)"."""
    return ", ".join(_step(*step) for step in with_options(chain)) or "no augmentation"


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings of a step on one line; ranges as "0 to 10"."""
    return ", ".join(f"{key} {_value(value)}" for key, value in settings.items())


def _step(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name} ({settings_text(settings)})" if settings else name


def _value(value: Any) -> str:
    numbers = isinstance(value, list) and len(value) == 2 and all(isinstance(one, (int, float)) for one in value)
    if numbers:
        return f"{value[0]:g} to {value[1]:g}" if value[0] != value[1] else f"{value[0]:g}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _chains(config: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"augmentation chain: {steps(chain)}" for name, chain in config.get("chains", {}).items()}


def _indexes(config: Mapping[str, Any], kinds: Mapping[str, str]) -> dict[str, str]:
    return {name: "; ".join(filter(None, (kind, _options(config["indexes"][name])))) for name, kind in kinds.items()}


def _options(options: Mapping[str, Any] | None) -> str:
    return settings_text({key: one for key, one in (options or {}).items() if one is not None and key != "type"})


def _query_sets(config: Mapping[str, Any]) -> dict[str, str]:
    sets = {name: f"the test songs, degraded: {steps(chain)}" for name, chain in config.get("query_sets", {}).items()}
    return {FILES: "the data set's own queries", **sets}
