"""Answers of any system, handed in as one CSV: checked against the queries that are asked, then judged as any method's are."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from nafp.audio.segments import sequence_seconds
from nafp.errors import UserError
from nafp.methods.interface import FILES, Answering
from nafp.options import option

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from nafp.audio.songs import Songs
    from nafp.methods.answers import Answers, Queries

NUMBERS = ("start_s", "length_s", "rank", "offset_s", "score")
COLUMNS = ("query", "start_s", "length_s", "rank", "song", "offset_s", "score")
SET = "query_set"  # an optional column; without it the answers are to the data set's own queries
FASTEST = (
    2  # seconds of the song in a second of a query, up to which a query that begins before the song may reach into it
)
IN_MS = {"at": "start_s", "long": "length_s"}  # columns of whole milliseconds, by which queries are told apart
ADVICE = "the target list_queries writes the queries and the songs"


@dataclass(frozen=True)
class HandedIn(Answering):
    """One row an answer: query (file), start_s, length_s, rank, song (file), offset_s (into the song), score."""

    file: str = option({"type": "string", "minLength": 1}, "CSV of the answers; docs/methods.md has its columns")
    timed: ClassVar[bool] = False

    @property
    def inputs(self) -> list[str]:
        return [self.file]

    def check(self) -> None:
        """Refuse a file without the columns; one that is not there yet is an input that Snakemake misses."""
        if not Path(self.file).is_file():
            return
        try:
            with open(self.file, encoding="utf-8-sig", newline="") as file:
                header = next(csv.reader(file), [])
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{self.file}: cannot be read as a CSV in UTF-8 ({error}); write it again") from error
        absent, unknown = set(COLUMNS) - set(header), set(header) - {*COLUMNS, SET}
        if absent or unknown or len(header) > len(set(header)):
            raise UserError(
                f"{self.file}: its first line is {','.join(header)!r}; the columns are {','.join(COLUMNS)}, and {SET} if there "
                "are several query sets"
            )

    def build(self, songs: Songs, threads: int) -> Ranking:
        self.check()
        return Ranking(self.file, read_answers(self.file, songs.names, songs.seconds))


class Ranking:
    """The answers of a file: a row each, in its order, with the numbers of songs."""

    size_bytes = None  # whatever the system keeps of the songs

    def __init__(self, file: str, table: pd.DataFrame):
        self.file, self.table = file, table

    def answer(self, queries: Queries, length: int) -> Answers:
        """The answers to queries of one length; a query without a row has none. UserError for a row that answers none of
        these queries, though its query set and length are asked, and where no row is of the query set or of any length asked."""
        import numpy as np
        import pandas as pd

        from nafp.methods.answers import ranked

        seconds = sequence_seconds(length)
        of_set = self.of_set(queries)
        rows = of_set[of_set["long"].eq(milliseconds(seconds))]
        asked = pd.DataFrame(
            {"query": queries.names, "at": milliseconds(queries.start_s), "number": np.arange(len(queries))}
        )
        merged = rows.reset_index().merge(asked, how="left", on=["query", "at"])
        for row in merged[merged["number"].isna()].head(1).itertuples():
            raise UserError(
                f"{self.file}: row {row.index}: no query of {seconds:g} s starts at {row.start_s:g} s of {row.query!r} in the "
                f"query set {queries.query_set!r}; {ADVICE}"
            )
        missing = len(queries) - merged["number"].nunique()
        if missing:
            print(f"{missing:,} of {len(queries):,} queries of {seconds:g} s have no answer; they count as misses")
        best_first = merged.sort_values("rank", kind="stable")
        return ranked(*(best_first[name] for name in ("number", "song", "offset_s", "score")), queries=len(queries))

    def of_set(self, queries: Queries) -> pd.DataFrame:
        """The rows of the query set; UserError if there are none, or none of a length that is asked."""
        import numpy as np

        rows, asked = self.table[self.table[SET].eq(queries.query_set)], sequence_seconds(np.array(queries.lengths))
        if rows.empty:
            there = ", ".join(map(repr, sorted(self.table[SET].unique()))) or "none"
            raise UserError(
                f"{self.file}: no row answers the query set {queries.query_set!r}; the file has {there} ({SET}, which is "
                f"{FILES!r} where it is empty); {ADVICE}"
            )
        there = rows["length_s"].unique()
        if len(asked) and not rows["long"].isin(milliseconds(asked)).any():
            raise UserError(
                f"{self.file}: no row of the query set {queries.query_set!r} has a length that is asked: length_s is "
                f"{_listed(there)} in the file, and the queries have {_listed(asked)} s; {ADVICE}"
            )
        return rows


def _listed(seconds: np.ndarray) -> str:
    """The first few of some lengths."""
    return ", ".join(f"{one:g}" for one in sorted(seconds)[:6]) + ", ..." * (len(seconds) > 6)


def questions(queries: Queries, lengths: Sequence[int]) -> pd.DataFrame:
    """What is to be answered, a row a query and length (in segments): query_set, query, start_s, length_s."""
    import pandas as pd

    asked = pd.DataFrame({SET: queries.query_set, "query": queries.names, "start_s": queries.start_s})
    return pd.concat([asked.assign(length_s=sequence_seconds(length)) for length in lengths], ignore_index=True)


def milliseconds(seconds: float | np.ndarray | pd.Series) -> np.ndarray:
    """Seconds rounded to whole milliseconds, by which starts and lengths are compared; floats, since a file may hold any."""
    import numpy as np

    with np.errstate(over="ignore"):
        return np.rint(np.asarray(seconds, float) * 1e3)


def read_answers(file: str, songs: list[str], seconds: np.ndarray) -> pd.DataFrame:
    """The table of answers, by the row in the file (the first below the header is row 2), songs as numbers.

    ``seconds``: (songs,) how long each is. UserError, with the row, for what is no number, songs that are not searched, a place
    at which no part of the query is in the song, an answer that is there twice, and a score that rises from a rank to the next.
    """
    import numpy as np
    import pandas as pd

    def refuse(bad: pd.Series, why: str) -> None:
        if bad.any():
            row = table.loc[bad.idxmax()]
            raise UserError(f"{file}: row {bad.idxmax()}: {why.format_map(row)}")

    try:
        options = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
        table = pd.read_csv(file, encoding="utf-8-sig", **options).fillna("")
        if not isinstance(table.index, pd.RangeIndex):
            raise ValueError("its rows have more fields than its first line")
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot be read as a CSV ({' '.join(str(error).split())}); write it again") from error
    table.index += 2
    table = table[table.ne("").any(axis=1)]
    table = table.assign(**{SET: table[SET].replace("", FILES) if SET in table else FILES})
    numbers = table[[*NUMBERS]].apply(pd.to_numeric, errors="coerce").astype(float)  # objects where there is no row
    for name in NUMBERS:
        refuse(~np.isfinite(numbers[name]), f"{name} is {{{name}!r}}, not a number")
    refuse(
        numbers["rank"].lt(1) | numbers["rank"].mod(1).ne(0),
        "rank is {rank}; the best answer has rank 1, the next one 2",
    )
    known = pd.Series(np.arange(len(songs)), index=songs)
    refuse(~table["song"].isin(known.index), "{song!r} is none of the songs that are searched; " + ADVICE)
    numbers["song"] = known.reindex(table["song"]).to_numpy()
    refuse(
        numbers["offset_s"].ge(seconds[numbers["song"]]) | numbers["offset_s"].le(-FASTEST * numbers["length_s"]),
        "offset_s is {offset_s}, which is outside of {song!r}; write seconds from the beginning of the song",
    )
    table = table.assign(**numbers, **{name: milliseconds(numbers[of]) for name, of in IN_MS.items()})
    query = [SET, "query", *IN_MS]
    refuse(table.duplicated([*query, "rank"]), "rank {rank:g} of {query!r} at {start_s:g} s is there twice")
    table = table.sort_values([*query, "rank"], kind="stable")
    with np.errstate(over="ignore"):
        kept = table["score"].astype(np.float32)
    before = table.assign(kept=kept).groupby(query)[["score", "kept"]].shift()
    refuse(
        table["score"].gt(before["score"]),
        "the score of rank {rank:g}, {score:g}, is higher than that of the rank before; the best answer comes first",
    )
    refuse(~np.isfinite(kept), "score {score:.12g} does not fit into 32 bits; scale the scores")
    refuse(
        table["score"].lt(before["score"]) & kept.eq(before["kept"]),
        "score {score:.12g} of rank {rank:g} equals that of the rank before in 32 bits, which would be a tie; scale the scores",
    )
    return table
