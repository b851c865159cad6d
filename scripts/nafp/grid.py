"""The experiment as tables: studies in the config -> runs to train and cells to score.

A *run* is a model to train and is named by its fields, ``aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0``. A
*cell* is a run searched with one index type. A *study* is what it varies: ``{"bsz": [240, 120], "aug": "full"}``. A
*recipe* is what else a run changes: ``{"train": {"precision": "bfloat16"}}``.
"""

import re
from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from nafp.augment.steps import snr_of
from nafp.errors import UserError

RUN_FIELDS = ("aug", "bsz", "dim", "loss", "recipe", "seed")
FILES = "files"  # the query set that the data set brings


class CellKey(NamedTuple):
    """Which cell: a run's name, the index type it is searched with, and the query set that it is searched for."""

    run: str
    index: str  # type: ignore[assignment]  # instead of tuple's method
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


def default_fields(config: Mapping) -> dict:
    """The fields of a cell of which nothing is said."""
    return {**config["run"], "index": config["search"]["index"], "query_set": FILES}


def key_of(fields: Mapping) -> CellKey:
    """The fields of a cell -> which cell it is."""
    return CellKey(run_name(fields), fields["index"], fields["query_set"])


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


def study_cells(study: Mapping, config: Mapping) -> list[CellKey]:
    """The cells of a study, in its order, each once."""
    return list(dict.fromkeys(map(key_of, combinations(study, config))))


def varied_fields(study: Mapping, config: Mapping) -> list[str]:
    """The names of the fields that differ between a study's cells; those it names first, in its order.

    ``snr_db`` is one of them if the level of the noise differs between its query sets.
    """
    cells = combinations(study, config)
    for cell in cells:
        cell["snr_db"] = snr_of(config["query_sets"].get(cell["query_set"], []))
    names = dict.fromkeys([*study, *cells[0]])
    return [name for name in names if name in cells[0] and len({cell[name] for cell in cells}) > 1]


def baseline(study: Mapping, config: Mapping) -> CellKey:
    """The cell that a study's others are compared with: the first with the fields of ``baseline``, else of ``run``."""
    default = default_fields(config)
    cells = combinations(study, config)
    named = study.get("baseline", default)
    for fields in cells:
        if all(fields[name] == value for name, value in named.items()):
            return key_of(fields)
    if "baseline" in study:
        raise UserError(f"baseline {named} is not one of the study's cells")
    return key_of(cells[0])


def positives(loss_options: Mapping) -> int:
    """Replicas of each anchor that a loss is given."""
    return loss_options.get("positives", 1)
