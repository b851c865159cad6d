"""Where a data set comes from: a registry of sources. A new one is a file here with a ``Source``, and a line in SOURCES.

Planning reads this package, and has little installed: what works on files is imported where it is called.
"""

from collections.abc import Mapping
from typing import Any

from nafp.datasets.sources.annotated import ANNOTATED
from nafp.datasets.sources.demo import DEMO
from nafp.datasets.sources.folder import FOLDER
from nafp.datasets.sources.gdrive import GDRIVE
from nafp.datasets.sources.kaggle import KAGGLE
from nafp.datasets.sources.local import DATAPORT, LOCAL
from nafp.datasets.sources.own import OWN
from nafp.datasets.sources.pex import PEX
from nafp.datasets.sources.sd_rr import SD_RR
from nafp.datasets.sources.source import Place, Source

__all__ = ["DEFAULT", "SOURCES", "Place", "Source", "dataset_of", "dataset_schema"]

SOURCES = {
    "folder": FOLDER,
    "kaggle": KAGGLE,
    "gdrive": GDRIVE,
    "local": LOCAL,
    "dataport": DATAPORT,
    "own": OWN,
    "demo": DEMO,
    "sd-rr": SD_RR,
    "pex": PEX,
    "annotated": ANNOTATED,
}
DEFAULT = "folder"  # source of a data set that names none


def dataset_of(config: Mapping) -> dict[str, Any]:
    """The config's ``dataset`` as a mapping that has name and source, and root unless a rule makes its files.

    Its short form is the name of a source without required options: ``demo``.
    """
    given = config["dataset"]
    dataset = {"name": given, "source": given} if isinstance(given, str) else dict(given)
    dataset = {"source": DEFAULT} | dataset
    made = SOURCES[dataset["source"]].maker is not None  # then it lies among the results
    return dataset if made else {"root": f"data/{dataset['name']}"} | dataset


def dataset_schema() -> dict[str, Any]:
    """What the sources add to the schema of ``dataset``: their names and options, and which of these each requires."""
    about = "; ".join(f"{name}{' (default)' * (name == DEFAULT)} - {source.about}" for name, source in SOURCES.items())
    properties: dict[str, Any] = {"source": {"enum": list(SOURCES), "description": about}}
    for source in SOURCES.values():
        properties |= source.options
    return {"properties": properties, "allOf": [_requirement(name) for name in SOURCES if SOURCES[name].required]}


def _requirement(name: str) -> dict[str, Any]:
    chosen: dict[str, Any] = {"properties": {"source": {"const": name}}}
    if name != DEFAULT:
        chosen["required"] = ["source"]
    return {"if": chosen, "then": {"required": list(SOURCES[name].required)}}
