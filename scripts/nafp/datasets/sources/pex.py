"""The data sets of Pexeso's Audio Fingerprinting Benchmark Toolkit: montages of distorted excerpts of FMA songs."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.annotations import Collection, Excerpt, Table, by_name, named
from nafp.datasets.sources.source import EVALUATED, RECORDED_OPTIONS, Source

COLUMNS = ("reference_id", "query_id", "query_begin", "query_end")
WHAT = "the folder of one of the toolkit's data sets has annotations.csv, references/ and queries/"
MARGIN_S = 1.0  # at both ends of an annotation, which is in whole seconds and runs into the excerpts beside it


def collect(dataset: Mapping) -> Collection:
    """The excerpts of which the montages consist. Where one begins in its song is known to a second only: not well enough."""
    root = Path(dataset["folder"])
    table = Table(root / "annotations.csv", COLUMNS, WHAT)
    excerpts, lost = [], {}
    songs, queries = (by_name(root / folder, WHAT, lost) for folder in ("references", "queries"))
    for number, row in table:
        song, file = (named(*one, table, number) for one in ((songs, row["reference_id"]), (queries, row["query_id"])))
        begin, end = table.interval(number, row, "query_begin", "query_end")
        excerpts.append(Excerpt(file, begin + MARGIN_S, end - MARGIN_S, song.stem, None, number))
    return Collection({path.stem: path for path in songs.values()}, excerpts, lost)


PEX = Source(
    "montages of Pexeso's benchmark toolkit",
    RECORDED_OPTIONS,
    ("folder", "distractors"),
    maker="import_recordings",
    collect=collect,
    placed=lambda dataset: False,
    splits=EVALUATED,
)
