"""Index types by name: each a dataclass of its options that says what it needs and costs, and builds and opens an index.

A new one is a class with the methods of ``base.IndexType`` (of Faiss: ``base.FaissType``), a line here, and its options for a
test in ``tests/support/indexes.py``. Planning reads these files: Faiss and Milvus are imported where an index is made. Options
are called as in the library that takes them.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from nafp.errors import UserError
from nafp.search.rates import without_rates
from nafp.search.types.base import IndexType
from nafp.search.types.flat import L2, Sq8
from nafp.search.types.graph import Hnsw
from nafp.search.types.inverted_lists import Ivf, IvfRabitq
from nafp.search.types.milvus import Milvus
from nafp.search.types.product_quantizer import IvfPq, IvfPqFastScan, IvfPqRr, IvfPqRrOnDisk

INDEX_TYPES: dict[str, type[IndexType]] = {
    each.name: each for each in (L2, Ivf, IvfPq, IvfPqRr, IvfPqRrOnDisk, Hnsw, Sq8, IvfPqFastScan, IvfRabitq, Milvus)
}


def what_it_is(name: str, options: Mapping[str, Any] | None) -> str:
    """A named index's type in a few words: the first line of its docstring; "an index" of an unknown one."""
    kind = INDEX_TYPES.get((options or {}).get("type", name))
    return (kind.__doc__ or "").splitlines()[0].replace("``", "").rstrip(".") if kind else "an index"


def index_type_of(name: str, options: Mapping[str, Any]) -> IndexType:
    """The type of a named index, which is its option ``type`` or its name, with the other options.

    Raises UserError for an unknown type, and for options that are unknown or missing.
    """
    options = without_rates(options)
    kind = options.pop("type", name)
    if kind not in INDEX_TYPES:
        raise UserError(f"index {name!r}: unknown type {kind!r}; known: {', '.join(INDEX_TYPES)}")
    taken = [field.name for field in fields(INDEX_TYPES[kind])]
    if wrong := [option for option in [*options, *taken] if (option in options) != (option in taken)]:
        what = "unknown" if wrong[0] in options else "missing"
        raise UserError(f"index {name!r}: {what} option {wrong[0]!r}; {kind} takes {', '.join(taken) or 'none'}")
    return INDEX_TYPES[kind](**options)
