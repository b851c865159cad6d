"""What a source of a data set is, and where its files lie."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nafp.datasets.annotations import Collection
from nafp.datasets.layout import MUSIC

Steps = Sequence[Mapping]  # steps of an augmentation chain
ARCHIVE_OPTIONS = {  # options of every source that brings an archive
    "unpacked_gb": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 100_000,
        "description": "its size; there must be room for it, and an archive with 10 % more is refused",
    },
    "archive_gb": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 100_000,
        "description": "size of the archive, for nafp plan; as unpacked_gb if not given",
    },
    "keep_archive": {
        "type": "boolean",
        "description": "false (default) - a downloaded archive is deleted when verification passed",
    },
}
ARCHIVE = {"type": "string", "minLength": 1, "description": "a zip or tar, or the folder that holds it"}

RECORDED_OPTIONS = {  # options of every source of real recordings
    "folder": {"type": "string", "minLength": 1, "description": "the download, unpacked"},
    "distractors": {
        "type": "string",
        "minLength": 1,
        "description": "folder of other music, songs that no recording is of",
    },
}
EVALUATED = ("test_db", "test_query", "dummy")  # splits of a data set to evaluate with: nothing to train on


@dataclass(frozen=True)
class Place:
    """Folder of a data set (``root``) and the files about it, which are beside it.

    ``packed``: folder of the packed splits; only the disk that it is on matters here.
    """

    root: Path
    packed: Path

    def beside(self, kind: str) -> Path:
        return self.root.with_name(f"{self.root.name}.{kind}")

    @property
    def record(self) -> Path:
        """Record of the first verified archives: written once, when verification passed."""
        return self.beside("archives.json")

    @property
    def manifest(self) -> Path:
        """The manifest of the first verified copy."""
        return self.beside("manifest.csv")

    @property
    def journal(self) -> Path:
        """The digests of the unpacked files."""
        return self.beside("files.tsv")

    @property
    def unpacked_from(self) -> Path:
        """What identifies the archives that the journal's files are from, a line each."""
        return self.beside("unpacked.txt")


@dataclass(frozen=True)
class Source:
    """Where the files of a data set come from. Planning reads it: what works on files is imported where it is called.

    ``about``: for the schema. ``options``: of the config's ``dataset``, each with its JSON Schema; ``required``: those that
    must be given. ``maker``: the rule of ``rules/data.smk`` that makes the files, if one does. ``bring``: the config's
    ``dataset`` and a place -> the archives, brought there; None if there is none. ``downloads``: whether they are downloaded,
    so ours to delete when they are unpacked. ``queries``: the config -> part (val, test) -> the chain that its songs are
    degraded by, and the seed of that; nothing if the data set brings its queries. ``clips``: the config -> split -> (clips,
    seconds of each), where the config says it. ``collect``: the config's ``dataset`` -> the songs and recordings that
    import_recordings makes the files of. ``placed``: the config's ``dataset`` -> False if it does not say where in their songs
    its queries are. ``splits``: of music that it has.
    """

    about: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    maker: str | None = None
    bring: Callable[[Mapping, Place], list[Path]] | None = None
    downloads: bool = False
    queries: Callable[[Mapping], tuple[Mapping[str, Steps], int]] = lambda config: ({}, 0)
    clips: Callable[[Mapping], Mapping[str, tuple[int, float]]] = lambda config: {}
    collect: Callable[[Mapping], Collection] | None = None
    placed: Callable[[Mapping], bool] = lambda dataset: True
    splits: tuple[str, ...] = MUSIC
