"""SD-RR (Zenodo 22169646): songs, and 10 s of each played by a loudspeaker and recorded by a phone, three times."""

from collections.abc import Mapping
from pathlib import Path

from nafp.datasets.annotations import Collection, Excerpt, Table
from nafp.datasets.sources.source import EVALUATED, RECORDED_OPTIONS, Source
from nafp.errors import UserError

COLUMNS = ("query_id", "query_path", "reference_id", "reference_path", "reference_begin_seconds")
WHAT = "the folder of SD-RR has manifest.csv, references/ and queries/, both archives unpacked"


def collect(dataset: Mapping) -> Collection:
    """The recordings as manifest.csv describes them; it names the files, and the second of the song at which each begins."""
    root = Path(dataset["folder"])
    table, songs, excerpts = Table(root / "manifest.csv", COLUMNS, WHAT), {}, []
    for number, row in table:
        query, song = root / row["query_path"], root / row["reference_path"]
        for path in (query, song):
            if not path.is_file():
                raise UserError(f"{table.path}: row {number}: {path} is not there; {WHAT}")
        if songs.setdefault(row["reference_id"], song) != song:
            raise UserError(
                f"{table.path}: row {number}: {row['reference_id']} is another file than in the rows before"
            )
        begin = table.seconds(number, row, "reference_begin_seconds")
        excerpts.append(Excerpt(query, 0.0, None, row["reference_id"], begin, number))
    return Collection(songs, excerpts)


SD_RR = Source(
    "recordings by phone of the songs of SD-RR",
    RECORDED_OPTIONS,
    ("folder", "distractors"),
    maker="import_recordings",
    collect=collect,
    splits=EVALUATED,
)
