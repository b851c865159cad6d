"""Fingerprints of the songs and queries of a question, and their search in an index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from nafp.evaluation.cell import Cell, times_of
from nafp.evaluation.hits import first_and_last_rows
from nafp.evaluation.other_grid import search_on_grid
from nafp.evaluation.question import Question
from nafp.files import damaged_file_errors
from nafp.search.checks import check_all_rows
from nafp.search.external import OURS, Grid
from nafp.search.result import Result
from nafp.search.sequences import recall, search_sequences
from nafp.search.types.base import SearchableIndex
from nafp.search.vectors import Database, open_vectors


@dataclass(frozen=True)
class Searched:
    """A question with the fingerprints of its songs, ``database``, and of its queries, ``query`` (n, d); ``grid``: of both."""

    question: Question
    database: Database
    query: np.ndarray
    grid: Grid = OURS

    @classmethod
    def open(cls, files: Mapping[str, Any], search: Mapping[str, Any], grid: Grid = OURS) -> "Searched":
        """Open fingerprints and clip tables. ``search``: see `Question`.

        ``files``: paths by name: fingerprints of ``dummy``, ``db`` and ``query``; clip tables of ``songs``, two, and ``clips``,
        the queries'. UserError if a file is damaged, or if there are not as many fingerprints as segments.
        """
        sources = [files[name] for name in ("dummy", "db", "query")]
        dummy, db, query = map(open_vectors, sources)
        tables = [_clips(path) for path in (*files["songs"], files["clips"])]
        check_all_rows([dummy, db, query], [table["samples"] for table in tables], sources, grid)
        return cls(Question(*tables, search), Database(dummy, db), query, grid)

    def results(self, index: SearchableIndex, rates: Sequence[float]) -> list[Result]:
        """What the index finds, one entry a length. ``rates``: see `search_sequences`."""
        question, starts, lengths = self.question, self.question.asked.starts, self.question.search["lengths"]
        if self.grid != OURS:
            return search_on_grid(
                index,
                self.database,
                self.query,
                self.grid,
                songs=np.concatenate([question.dummy["samples"], question.db["samples"]]),
                clips=question.queries["samples"].to_numpy(),
                starts=starts,
                lengths=lengths,
                truth=question.truth,
                protocol=question.search["protocol"],
                rates=rates,
            )
        return search_sequences(
            index,
            self.database,
            self.query,
            starts,
            lengths,
            own=first_and_last_rows(question.songs, question.songs[question.truth]),
            partial_mean=question.protocol.partial_mean,
            songs=question.songs if question.protocol.within_song else None,
            rates=rates,
        )

    def cell(self, index: SearchableIndex, rates: Sequence[float], /, **facts: Any) -> tuple[Cell, pd.DataFrame]:
        """The cell of a search in an index, and its per-query table; ``facts``: see `Question.cell`."""
        results = self.results(index, rates)
        return self.question.cell(
            results,
            fingerprints=None if self.grid == OURS else len(self.database),
            recall=recall(index, self.database, self.query),
            memory_bytes=index.memory_bytes,
            **times_of(results),
            **facts,
        )


def _clips(path: str) -> pd.DataFrame:
    with damaged_file_errors(path):
        return pd.read_csv(path)
