"""The experiment as tables: studies in the config -> runs to train and cells to score.

A *run* is a model to train and is named by its fields, ``aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0``, or another
method by its name, ``external=theirs``, ``method=mine`` (`nafp.methods`). A *cell* is a run searched with one index type; a
method that needs no index has one cell a query set. A *study* is what it varies: ``{"bsz": [240, 120], "aug": "full"}``. A
*recipe* is what else a run changes: ``{"train": {"precision": "bfloat16"}}``.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

from nafp.augment.steps import snr_of
from nafp.errors import UserError
from nafp.methods import KINDS, Trained, kind_of, kind_of_fields
from nafp.methods.interface import FILES

AXES = tuple(kind.axis for kind in KINDS if kind.axis)  # methods that studies name beside trained runs


class CellKey(NamedTuple):
    """Which cell: a run's name, the index type it is searched with (empty if with none), and the query set."""

    run: str
    index: str  # type: ignore[assignment]  # instead of tuple's method
    query_set: str = FILES


def run_name(fields: Mapping) -> str:
    """The fields of a run -> its name in paths."""
    return "_".join(f"{name}={fields[name]}" for name in kind_of_fields(fields).fields)


def parse_run(name: str) -> dict:
    """A run's name in a path -> its fields; numbers of trained runs become int."""
    return kind_of(name).parse(name) or {}  # a kind always reads the names that are its own


def default_fields(config: Mapping) -> dict:
    """The fields of a cell of which nothing is said."""
    return {**config["run"], "index": config["search"]["index"], "query_set": FILES}


def key_of(fields: Mapping) -> CellKey:
    """The fields of a cell -> which cell it is."""
    return CellKey(run_name(fields), fields.get("index", ""), fields["query_set"])


def path_of(key: CellKey, epoch: str) -> str:
    """The file of a cell below scores/; ``epoch``: of trained runs."""
    queries = "" if key.query_set == FILES else f"queries={key.query_set}/"
    kind = kind_of(key.run)
    return f"{key.run}/" + (
        f"epoch={kind.epoch or epoch}/{queries}{key.index}.json" if kind.searched else f"{queries}answers.json"
    )


def combinations(study: Mapping, config: Mapping) -> list[dict]:
    """The fields of every cell of a study: all combinations of what it varies, for each of its ``runs``, on top of the
    config's ``run`` and ``search.index``. Methods that it names by AXES come after the trained runs; if it names nothing else of
    runs, there are no trained ones.
    """
    default = default_fields(config)
    varied = {name: value for name, value in study.items() if name in default}
    named = [{axis: study[axis]} for axis in AXES if axis in study]
    trained = "runs" in study or not named or any(name in Trained.fields for name in varied)
    found = []
    for one in [*study.get("runs", [{}] * trained), *named]:
        kind = kind_of_fields(one)
        known = {name for name in (*kind.fields, *(["index"] if kind.searched else []), "query_set")}
        fields = {name: value for name, value in {**default, **varied, **one}.items() if name in known}
        choices = [value if isinstance(value, list) else [value] for value in fields.values()]
        found += [dict(zip(fields, chosen, strict=True)) for chosen in product(*choices)]
    return found


def study_cells(study: Mapping, config: Mapping) -> list[CellKey]:
    """The cells of a study, in its order, each once."""
    return list(dict.fromkeys(map(key_of, combinations(study, config))))


def varied_fields(study: Mapping, config: Mapping) -> list[str]:
    """The names of the fields that differ between a study's cells; those it names first, in its order.

    The seed is one of them where nothing else differs; elsewhere seeds are pooled. ``snr_db`` is one of them if the level of the
    noise differs between its query sets.
    """
    cells = combinations(study, config)
    for cell in cells:
        cell["snr_db"] = snr_of(config["query_sets"].get(cell["query_set"], []))
    known = dict.fromkeys(name for cell in cells for name in cell)
    found = [name for name in dict.fromkeys([*study, *known]) if name in known and _differs(name, cells)]
    return found if found == ["seed"] else [name for name in found if name != "seed"]


def _differs(name: str, cells: Sequence[Mapping]) -> bool:
    """Whether a field has several values; a trained run's that all of them share is no difference from other methods."""
    values = {cell[name] for cell in cells if name in cell}
    return len(values) > 1 or (name in AXES and any(name not in cell for cell in cells))


def baseline(study: Mapping, config: Mapping, possible: Sequence[CellKey] | None = None) -> CellKey:
    """The cell that a study's others are compared with: the first with the fields of ``baseline``, else of ``run``; if there is
    none, the first of all. ``possible``: the cells to choose from, if not all. UserError if ``baseline`` names no cell."""
    default = default_fields(config)
    cells = combinations(study, config)
    named = study.get("baseline", default)
    alike = [key_of(fields) for fields in cells if all(fields.get(name) == value for name, value in named.items())]
    if "baseline" in study and not alike:
        raise UserError(f"baseline {named} is not one of the study's cells")
    chosen = [*alike, *map(key_of, cells)]
    return next(key for key in chosen if possible is None or key in possible)


def positives(loss_options: Mapping) -> int:
    """Replicas of each anchor that a loss is given."""
    return loss_options.get("positives", 1)
