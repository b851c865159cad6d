"""A cell: a method's answers to a query set, counted: its JSON file and the per-query table beside it, written and read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from nafp.audio.segments import sequence_seconds
from nafp.evaluation.metrics import METRICS
from nafp.files import atomic_write, damaged_file_errors, read_json
from nafp.search.result import Result

HITS = ".hits.parquet"  # ending of per-query tables
NULLS = ("memory_bytes",)  # null in the file where it is not known


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one method answered; None where it does not apply or was not recorded.

    ``fields``: those of the run. ``index``: empty of a method that needs none. ``query_set``, ``snr_db``, ``query_chain``: of
    other queries than the data set's own.
    ``database``: part (dummy, or generated in its place; db) -> its number of segments.
    ``fingerprints``: of the database, if they are not one a segment.
    ``songs``, ``queries``: how many were asked, at each length. ``lengths``: in segments; ``seconds``: the same. ``hits``:
    column of a metric -> number of hits, one a length. ``recall``: share of nearest neighbours that the index finds.
    ``mrr``: mean reciprocal rank of the right segment, ``offset_ms``: mean error of the answers in the right song, one a
    length each. ``ms_per_query``: one a length, None where no sequence of that length has a fingerprint to search with.
    ``ms_per_segment``: of the neighbour search. ``provenance``: facts of the jobs that built and searched.
    ``index_bytes``: on disk. ``unanswered``: how many queries have no answer, which is a miss, one a length.
    """

    dataset: str
    run: str
    fields: Mapping[str, Any]
    query_set: str | None = None
    snr_db: float | None = None
    query_chain: Sequence[Mapping] | None = None
    epoch: str | None = None
    index: str
    index_options: Mapping[str, Any] | None = None
    method_options: Mapping[str, Any] | None = None
    protocol: str | None = None
    test_ids: str | int | None = None
    audio: str | None = None
    database: Mapping[str, int]
    fingerprints: int | None = None
    songs: int
    queries: int
    lengths: Sequence[int] | None = None
    seconds: Sequence[float]
    hits: Mapping[str, Sequence[int]]
    recall: Mapping[str, float] | None = None
    mrr: Sequence[float] | None = None
    offset_ms: Sequence[float | None] | None = None
    memory_bytes: int | None = None
    ms_per_segment: float | None = None
    ms_per_query: Sequence[float | None] | None = None
    provenance: Mapping[str, Mapping] | None = None
    build_s: float | None = None
    index_bytes: int | None = None
    unanswered: Sequence[int] | None = None

    @classmethod
    def count(cls, table: pd.DataFrame, placed: bool = True, **facts: Any) -> "Cell":
        """A cell with what can be counted from its per-query table (`nafp.evaluation.hits.per_query_table`).

        ``placed``: whether it is known where in their songs the queries are; if not, only the right song counts.
        """
        by_length = table.groupby("length", sort=False)
        offset_ms, lengths = by_length["offset_ms"].mean().round(1), table["length"].unique().tolist()
        return cls(
            songs=int(table["song"].nunique()),
            queries=len(table) // len(lengths),
            lengths=lengths,
            seconds=[*map(sequence_seconds, lengths)],
            hits={
                metric.column: by_length[metric.column].sum().tolist()
                for metric in METRICS.values()
                if placed or not metric.of_place
            },
            # 3 digits are shown, so 4 would be rounded twice
            mrr=by_length["rr"].mean().round(6).tolist() if placed else None,
            offset_ms=[ms if pd.notna(ms) else None for ms in offset_ms] if placed else None,
            **facts,
        )

    @classmethod
    def read(cls, path: str | Path) -> "Cell":
        """Read a cell's file. UserError if it is damaged, ValueError if it is no cell."""
        stated = read_json(path)
        required = {field.name for field in fields(cls) if field.default is MISSING}
        if absent := required - set(stated):
            raise ValueError(f"{path}: no {', '.join(sorted(absent))} in this cell")
        cell = cls(**{field.name: stated[field.name] for field in fields(cls) if field.name in stated})
        cell.check(path)
        return cell

    def check(self, path: str | Path) -> None:
        """Raise ValueError where numbers cannot be: of another count than lengths, or more hits than queries."""
        lengthwise = {**self.hits, "ms_per_query": self.ms_per_query, "mrr": self.mrr}
        for name, values in lengthwise.items():
            if values is not None and len(values) != len(self.seconds):
                raise ValueError(f"{path}: {name} has {len(values)} values for {len(self.seconds)} query lengths")
        if any(not 0 <= hit <= self.queries for hits in self.hits.values() for hit in hits) or self.queries < 1:
            raise ValueError(f"{path}: hits must lie between 0 and the {self.queries} queries")

    def write(self, path: str | Path, table: pd.DataFrame) -> None:
        """Write the cell's file and its per-query table beside it."""
        self.check(path)
        with atomic_write(table_beside(path)) as part:
            table.to_parquet(part, index=False)
        with atomic_write(path) as part:
            part.write_text(json.dumps(self.stated(), indent=1) + "\n", encoding="utf-8")

    def summary(self) -> str:
        """The hit rates in percent, a row a query length and a column a metric."""
        rates = 100 * pd.DataFrame(self.hits, index=pd.Index(self.lengths, name="length")) / self.queries
        return rates.round(1).to_string()

    def stated(self) -> dict[str, Any]:
        """What the file says, in its order."""
        kept = (*NULLS, *(("snr_db",) if self.query_set else ()))
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None or name in kept}


def times_of(answers: Sequence[Result]) -> dict[str, Any]:
    """The fields of a cell that say how long a search took, from its answers, one a length; NaN where nothing was searched."""
    each = [None if isnan(one.ms) else round(one.ms, 4) for one in answers]
    of_segments = [round(one.ms_per_segment, 4) for one in answers if not isnan(one.ms_per_segment)]
    return {"ms_per_segment": of_segments[0] if of_segments else None, "ms_per_query": each}


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A per-query table, or some of its columns; UserError if it is damaged or missing."""
    with damaged_file_errors(path):
        return pd.read_parquet(path, columns=columns)


def table_beside(cell: str | Path) -> Path:
    """The per-query table of a cell's file."""
    return Path(cell).with_suffix(HITS)


def cell_beside(table: str | Path) -> Path:
    """The cell's file of a per-query table."""
    return Path(str(table).removesuffix(HITS) + ".json")


def results_of(path: str | Path) -> Path:
    """The results of the data set that a cell or its table is of: above the folder scores, or the root if it is in none."""
    scores = next((folder for folder in Path(path).parents if folder.name == "scores"), None)
    return scores.parent if scores else Path(path).parents[-1]


def below_results(path: str | Path) -> str:
    """Where a cell or its table lies, from the results of its data set on: "scores/..."."""
    return Path(path).relative_to(results_of(path)).as_posix()
