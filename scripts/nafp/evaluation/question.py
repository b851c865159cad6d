"""The question that all methods answer: which songs are searched, for which queries; and the cell of their answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from nafp.audio.segments import count_segments
from nafp.audio.songs import songs_of_rows
from nafp.evaluation.asked import Asked
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import per_query_table
from nafp.evaluation.identity import digest_of_audio, name_of_ids
from nafp.evaluation.protocol import PROTOCOLS, Protocol
from nafp.search.result import Result


@dataclass(frozen=True)
class Question:
    """Clip tables (path, samples) of the songs to search, ``dummy`` and ``db``, and of the queries.

    ``search``: of the config: lengths, protocol, seed and test_ids.
    """

    dummy: pd.DataFrame
    db: pd.DataFrame
    queries: pd.DataFrame
    search: Mapping[str, Any]

    @property
    def protocol(self) -> Protocol:
        return PROTOCOLS[self.search["protocol"]]

    @cached_property
    def asked(self) -> Asked:
        """The q test sequences; UserError if the queries name a song that is not there."""
        return Asked.of(self.db, self.queries, self.search)

    @cached_property
    def songs(self) -> np.ndarray:
        """(rows,) the number of the song of each row of the database, distractors first."""
        return songs_of_rows(self.dummy["samples"], self.db["samples"])

    @cached_property
    def dummy_rows(self) -> int:
        """How many rows of the database are distractors."""
        return int(count_segments(self.dummy["samples"]).sum())

    @property
    def truth(self) -> np.ndarray:
        """(q,) the right rows of the database."""
        return self.asked.right + self.dummy_rows

    def cell(self, answers: Sequence[Result], distractors: str = "dummy", **facts: Any) -> tuple[Cell, pd.DataFrame]:
        """The cell of answers, one entry a length, and its per-query table.

        ``distractors``: the split that they are; ``facts``: what else the cell states.
        """
        asked = self.asked
        table = per_query_table(
            answers,
            asked.starts,
            self.truth,
            self.songs,
            names=[*self.dummy["path"], *self.db["path"]],
            moved=asked.moved,
            placed=asked.placed,
            near_across_songs=self.protocol.near_across_songs,
        )
        cell = Cell.count(
            table,
            asked.placed,
            protocol=self.search["protocol"],
            test_ids=name_of_ids(self.search["test_ids"]),
            audio=digest_of_audio([self.dummy, self.db, self.queries]),
            database={distractors: self.dummy_rows, "db": len(self.songs) - self.dummy_rows},
            **facts,
        )
        return cell, table
