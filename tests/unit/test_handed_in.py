"""Answers handed in as a CSV: scored like any method's, checked row by row."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.config.check import check_config
from nafp.errors import UserError
from nafp.evaluation.answered import ask
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import per_query_table
from nafp.evaluation.starts import allowed_starts
from nafp.methods.answers import Queries
from nafp.methods.handed_in import COLUMNS, HandedIn, questions

ROOT = Path(__file__).parents[2]
LENGTHS = [1, 5]  # segments: 1 and 3 s
SECONDS = 5  # of each song: 9 segments


def silence(count: int, folder: str) -> Split:
    return Split.of_clips([np.zeros(8000 * SECONDS, np.int16)] * count, [f"{folder}/{i}.wav" for i in range(count)])


@pytest.fixture(scope="module")
def songs() -> Songs:
    return Songs(silence(3, "dummy"), silence(2, "db"))


@pytest.fixture(scope="module")
def queries(songs) -> Queries:
    """Every segment of the two test songs from which 3 s fit."""
    return Queries(silence(2, "query"), np.array([9 * song + start for song in range(2) for start in range(5)]))


def right(queries: Queries) -> pd.DataFrame:
    """The right answer to each query, and a worse one in a distractor."""
    asked = questions(queries, LENGTHS).drop(columns="query_set")
    first = asked.assign(rank=1, song=asked["query"].str.replace("query", "db"), offset_s=asked["start_s"], score=0.9)
    second = asked.assign(rank=2, song="dummy/1.wav", offset_s=0.0, score=0.25)
    return pd.concat([first, second], ignore_index=True)[[*COLUMNS]]


def cell_of(table: pd.DataFrame, songs: Songs, queries: Queries, folder: Path) -> tuple[Cell, pd.DataFrame]:
    """The cell of a CSV of answers, and its per-query table."""
    table.to_csv(folder / "answers.csv", index=False)
    method = HandedIn(str(folder / "answers.csv"))
    method.check()
    truth = queries.starts + 27
    answered = ask(method, songs, queries, LENGTHS, truth, threads=1)
    per_query = per_query_table(answered.placed, queries.starts, truth, np.repeat(np.arange(5), 9), songs.names)
    facts = {"dataset": "d", "run": "method=theirs", "fields": {}, "index": "", "database": {"db": 45}}
    return Cell.count(per_query, **facts), per_query


def test_what_is_asked(queries):
    table = questions(queries, LENGTHS)
    assert table.columns.tolist() == ["query_set", "query", "start_s", "length_s"]
    assert table.iloc[6].tolist() == ["files", "query/1.wav", 0.5, 1.0]
    assert table.iloc[-1].tolist() == ["files", "query/1.wav", 2.0, 3.0] and len(table) == 20


def test_every_query_lies_in_the_packed_split_where_the_page_says():
    """Under the protocol release it may run on into the next clip, and is cut short at the end of the last one."""
    clips = [np.random.default_rng(song).integers(-9, 9, 8000 * SECONDS, np.int16) for song in range(2)]
    split = Split.of_clips(clips, ["query/0.wav", "query/1.wav"])
    queries = Queries(split, np.array(allowed_starts(split.clips["samples"], "release", LENGTHS)))
    begin = split.clips.set_index("path")["start"]
    across = 0
    for row, (length, number) in zip(
        questions(queries, LENGTHS).itertuples(), product(LENGTHS, range(len(queries))), strict=True
    ):
        first = begin[row.query] + int(8000 * row.start_s)
        assert (split.audio[first : first + int(8000 * row.length_s)] == queries.audio(number, length)).all()
        across += row.start_s + row.length_s > SECONDS
    assert across == 8  # four of each clip, with 3 s


def test_a_place_before_the_song_is_no_hit(songs, queries, tmp_path):
    """Half a second before it, where most of the query is inside: the song is right, and so is the place of queries at 0 s."""
    table = right(queries)
    cell, _ = cell_of(table.assign(offset_s=-table["offset_s"].clip(upper=0.5)), songs, queries, tmp_path)
    assert cell.hits["top1_song"] == [10, 10] and cell.hits["top1_exact"] == [2, 2]


def test_right_answers_are_hits_whatever_their_order(songs, queries, tmp_path):
    cell, table = cell_of(right(queries).sample(frac=1, random_state=0), songs, queries, tmp_path)
    assert all(hits == [10, 10] for hits in cell.hits.values()), cell.hits
    assert table["other_place"].eq(9).all() and table["other_score"].eq(0.25).all()  # the distractor's first segment


def test_answers_are_judged_by_hand(songs, queries, tmp_path):
    """Of ten queries of 1 s: half a second off (near), in another song (a miss), tied with another song (a miss), two missing."""
    table = right(queries)
    table.loc[0, "offset_s"] += 0.5
    table.loc[1, "song"] = "dummy/0.wav"
    table.loc[table.index[2], "score"] = 0.25
    table = table.drop(index=[3, 4, 23, 24])
    cell, _ = cell_of(table, songs, queries, tmp_path)
    assert (cell.hits["top1_exact"], cell.hits["top1_near"], cell.hits["top1_song"]) == ([5, 10], [6, 10], [6, 10])
    assert cell.offset_ms == [pytest.approx(500 / 6, abs=0.1), 0]


def test_missing_answers_are_counted(songs, queries, tmp_path, capsys):
    table = right(queries)
    cell_of(table[table["length_s"].eq(3)].drop(index=[10, 30]), songs, queries, tmp_path)
    said = capsys.readouterr().out
    assert "10 of 10 queries of 1 s have no answer" in said and "1 of 10 queries of 3 s have no answer" in said


def test_answers_to_other_query_sets_are_left(songs, queries, tmp_path):
    table = pd.concat([right(queries).assign(query_set=name) for name in ("files", "loud")], ignore_index=True)
    table.loc[table["query_set"].eq("files"), "song"] = "dummy/2.wav"
    loud = Queries(queries.split, queries.starts, "loud")
    assert cell_of(table, songs, loud, tmp_path)[0].hits["top1_exact"] == [10, 10]
    assert cell_of(table, songs, queries, tmp_path)[0].hits["top1_song"] == [0, 0]


def test_an_empty_query_set_is_that_of_the_data_set(songs, queries, tmp_path):
    assert cell_of(right(queries).assign(query_set=""), songs, queries, tmp_path)[0].hits["top1_exact"] == [10, 10]


def test_a_file_that_answers_nothing_that_is_asked_is_refused(songs, queries, tmp_path):
    """A query set of another name than in the config, and lengths in another unit, would be all misses."""
    with pytest.raises(UserError, match="no row answers the query set 'files'; the file has 'loud', 'quiet'"):
        table = pd.concat([right(queries).assign(query_set=name) for name in ("quiet", "loud")])
        cell_of(table, songs, queries, tmp_path)
    table = right(queries)
    with pytest.raises(UserError, match="length_s is 1000, 3000 in the file, and the queries have 1, 3 s; the target"):
        cell_of(table.assign(length_s=1000 * table["length_s"]), songs, queries, tmp_path)


@pytest.mark.parametrize(
    ("row", "column", "value", "says"),
    [
        (4, "song", "db/7.wav", r"row 6: 'db/7.wav' is none of the songs that are searched; the target list_queries"),
        (4, "query", "query/9.wav", "row 6: no query of 1 s starts at 2 s of 'query/9.wav' in the query set 'files'"),
        (4, "start_s", 2.5, "row 6: no query of 1 s starts at 2.5 s of 'query/0.wav'"),
        (7, "score", "nan", "row 9: score is 'nan', not a number"),
        (7, "score", "inf", "row 9: score is 'inf', not a number"),
        (7, "offset_s", "", "row 9: offset_s is '', not a number"),
        (
            7,
            "offset_s",
            5.0,
            "row 9: offset_s is 5.0, which is outside of 'db/1.wav'; write seconds from the beginning of",
        ),
        (7, "offset_s", 1500, "row 9: offset_s is 1500, which is outside of"),
        (7, "offset_s", 1e300, r"row 9: offset_s is 1e\+300, which is outside of"),
        (7, "offset_s", -2.0, "row 9: offset_s is -2.0, which is outside of"),
        (7, "length_s", "one", "row 9: length_s is 'one', not a number"),
        (7, "rank", 0, "row 9: rank is 0; the best answer has rank 1"),
        (7, "rank", 1.5, "row 9: rank is 1.5"),
        (27, "rank", 1, "row 29: rank 1 of 'query/1.wav' at 1 s is there twice"),
        (27, "score", 0.89999999999, "row 29: score 0.8999.* of rank 2 equals that of the rank before in 32 bits"),
        (27, "score", -1e39, r"row 29: score -1e\+39 does not fit into 32 bits"),
        (27, "score", 0.95, "row 29: the score of rank 2, 0.95, is higher than that of the rank before"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(songs, queries, tmp_path, row, column, value, says):
    table = right(queries).astype(object)
    table.loc[row, column] = value
    with pytest.raises(UserError, match=says):
        cell_of(table, songs, queries, tmp_path)


@pytest.mark.parametrize(("column", "value"), [("start_s", 1.0000001), ("length_s", 1.0004)])
def test_times_are_compared_by_milliseconds_in_every_check(songs, queries, tmp_path, column, value):
    """An answer whose times differ in the last digits is of the same query: there twice, or with a score that rises."""
    table = right(queries)
    table.loc[22, column] = value  # the second answer to the query at 1 s
    assert cell_of(table, songs, queries, tmp_path)[0].hits["top1_exact"] == [10, 10]
    with pytest.raises(UserError, match="row 24: rank 1 of 'query/0.wav' at 1 s is there twice"):
        cell_of(table.assign(rank=table["rank"].where(table.index != 22, 1)), songs, queries, tmp_path)
    with pytest.raises(UserError, match="row 24: the score of rank 2, 0.95, is higher than that of the rank before"):
        cell_of(table.assign(score=table["score"].where(table.index != 22, 0.95)), songs, queries, tmp_path)


def test_a_file_without_answers_is_refused_with_a_sentence(songs, queries, tmp_path):
    with pytest.raises(UserError, match="no row answers the query set 'files'; the file has none"):
        cell_of(right(queries).iloc[:0], songs, queries, tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "query,start,length\n",
            "its first line is 'query,start,length'; the columns are query,start_s,length_s,rank,",
        ),
        ("", "its first line is ''"),
        (",".join(COLUMNS) + ",,\n", "its first line is"),
        (",".join(COLUMNS) + "\na,0,1,1,b,0,1,extra\n", r"cannot be read as a CSV \(its rows have more fields"),
    ],
)
def test_a_file_without_the_columns(songs, tmp_path, text, says):
    (tmp_path / "answers.csv").write_text(text)
    with pytest.raises(UserError, match=says):
        HandedIn(str(tmp_path / "answers.csv")).build(songs, 1)


def test_a_byte_order_mark_and_empty_lines_do_no_harm(songs, queries, tmp_path):
    right(queries).to_csv(tmp_path / "answers.csv", index=False, encoding="utf-8-sig", lineterminator="\n\n")
    built = HandedIn(str(tmp_path / "answers.csv")).build(songs, 1)
    assert built.answer(queries, 5).song[:, 0].tolist() == [3] * 5 + [4] * 5


def test_the_config_takes_it_before_the_file_is_there(tmp_path):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config |= {"methods": {"theirs": {"type": "answers", "file": str(tmp_path / "a.csv")}}}
    config |= {"studies": {"rivals": {"runs": [{}, {"method": "theirs"}]}}}
    check_config(config, ROOT)
    (tmp_path / "a.csv").write_text("a,b\n")
    with pytest.raises(UserError, match=r"^methods\.theirs: .*a\.csv: its first line is 'a,b'; the columns are"):
        check_config(config, ROOT)
    with pytest.raises(UserError, match=r"methods\.answers: 'file' is missing"):
        check_config(config | {"methods": {"answers": {}}}, ROOT)


def test_the_cell_keeps_the_number_of_missing_answers(tmp_path, songs, queries):
    cell, table = cell_of(right(queries), songs, queries, tmp_path)
    path = tmp_path / "cell.json"
    Cell(**{**vars(cell), "unanswered": [0, 2]}).write(path, table)
    assert Cell.read(path).unanswered == [0, 2] and "unanswered" in json.loads(path.read_text())
