"""Recordings in which songs are annotated, as in BAF (Zenodo 6868083): broadcasts, and from when to when a song is heard."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.annotations import Collection, Excerpt, Table, by_name, named
from nafp.datasets.sources.source import EVALUATED, RECORDED_OPTIONS, Source
from nafp.errors import UserError

COLUMNS = ("query", "reference", "query_start", "query_end")
PLACE, AGREEMENT = "reference_start", "x_tag"  # optional columns
WHAT = (
    f"a folder of annotated recordings has references/, queries/, and a CSV with {', '.join(COLUMNS)}, "
    f"and {AGREEMENT} if dataset.agreement says which rows count"
)
OPTIONS = {
    "annotations": {
        "type": "string",
        "minLength": 1,
        "description": "the CSV in the folder; annotations.csv, or cross_annotations.csv as in BAF",
    },
    "agreement": {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string"},
        "description": "which rows count, by their column x_tag; [unanimity, majority, single]",
    },
}


def table_of(dataset: Mapping) -> Table:
    """The CSV of annotations; UserError if it cannot be read."""
    columns = (*COLUMNS, AGREEMENT) if "agreement" in dataset else COLUMNS
    return Table(Path(dataset["folder"], dataset.get("annotations", "annotations.csv")), columns, WHAT)


def placed(dataset: Mapping) -> bool:
    """Whether the CSV says where in their songs the recordings are; True of one that cannot be read, as ``collect`` will say."""
    try:
        return PLACE in table_of(dataset).columns
    except UserError:
        return True


def collect(dataset: Mapping) -> Collection:
    """One excerpt a row; of songs that no row names, none. If there is a column reference_start, it says where in the song."""
    root = Path(dataset["folder"])
    table = table_of(dataset)
    excerpts, lost = [], {}
    songs, queries = (by_name(root / folder, WHAT, lost) for folder in ("references", "queries"))
    for number, row in table:
        if "agreement" in dataset and row[AGREEMENT] not in dataset["agreement"]:
            continue
        song, file = (named(*one, table, number) for one in ((songs, row["reference"]), (queries, row["query"])))
        begin, end = table.interval(number, row, "query_start", "query_end")
        place = table.seconds(number, row, PLACE) if PLACE in table.columns else None
        excerpts.append(Excerpt(file, begin, end, song.stem, place, number))
    return Collection({path.stem: path for path in songs.values()}, excerpts, lost)


ANNOTATED = Source(
    "recordings in which songs are annotated",
    RECORDED_OPTIONS | OPTIONS,
    ("folder",),
    maker="import_recordings",
    collect=collect,
    placed=placed,
    splits=EVALUATED,
)
