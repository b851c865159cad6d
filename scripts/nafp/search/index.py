"""An index: built into a folder, kept up to date and opened, whatever its type.

Every index holds the dummy fingerprints first and the database's behind them. What needs training is trained on the
dummy fingerprints alone. Distances are squared Euclidean; for unit vectors their order is that of the inner product.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from nafp.search.types import index_type_of
from nafp.search.types.base import Building, SearchableIndex
from nafp.search.vectors import Database
from nafp.secrets import without_secrets

MAX_GROWTH = 4  # times the database that an index was built from; a larger one is built again, and so trained on more


def build_index(
    name: str,
    options: Mapping,
    database: Database,
    folder: Path,
    seed: int = 0,
    train_max: int = 10**6,
    device: str = "cpu",
) -> int | None:
    """Build the named index of a database in a folder, under a temporary name until it is complete.

    What needs training is trained on the dummy fingerprints, on a random sample of at most ``train_max``. Returns the number
    of the GPU that did it; None if the CPU did.
    """
    index_type = index_type_of(name, options)
    index_type.check(database.dim)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        gpu = index_type.fill_folder(database, part, folder, Building(seed, train_max, device))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return gpu


def update_index(name: str, options: Mapping, database: Database, folder: Path) -> None:
    """Bring the index of a database that only grows up to date: new fingerprints are added to it.

    It is built again (``build_index``) if it is missing, has other options, was built from a database that was more than
    MAX_GROWTH times smaller, or if the database grew and its type takes no additions.
    """
    about = folder / "about.json"
    wanted = {"name": name, "options": without_secrets(options)}
    facts = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
    same, index_type = {key: facts.get(key) for key in wanted} == wanted, index_type_of(name, options)
    if same and len(database) == facts["rows_at_first"]:
        return
    if same and index_type.takes_additions and len(database) <= MAX_GROWTH * facts["rows_at_first"]:
        index_type.extend_folder(folder, database)
        return
    build_index(name, options, database, folder)
    about.write_text(json.dumps(wanted | {"rows_at_first": len(database)}), encoding="utf-8")


def read_index(
    name: str, options: Mapping, folder: Path | str, database: Database, device: str = "cpu"
) -> SearchableIndex:
    """Open an index, memory-mapped where its type allows; UserError if it is damaged or of another database."""
    return index_type_of(name, options).open_folder(Path(folder), database, device)
