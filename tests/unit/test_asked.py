"""Which segments of the songs are right, by the time map of the queries: by hand, and as one sees it who knows all."""

import numpy as np
import pandas as pd
import pytest

from nafp.audio.segments import segments_of
from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.queries import pack_queries
from nafp.errors import UserError
from nafp.evaluation.answered import ask
from nafp.evaluation.asked import Asked
from nafp.evaluation.cell import Cell
from nafp.evaluation.question import Question
from nafp.evaluation.starts import choose_starts
from nafp.methods.answers import Queries, ranked

SECONDS = 12  # of each song: 23 segments
LENGTHS = [1, 3, 5]
SEARCH = {"test_ids": "all", "protocol": "clip", "lengths": LENGTHS, "seed": 0}


def noise(count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    clips = [rng.integers(-5000, 5000, 8000 * SECONDS).astype(np.int16) for _ in range(count)]
    return Split.of_clips(clips, [f"x/{seed}-{number}" for number in range(count)])


SONGS = Songs(noise(3, 1), noise(4, 2))


def queries_at(tmp_path, step) -> Split:
    pack_queries(SONGS.db, tmp_path / "q.npy", tmp_path / "q.csv", Chain([step]), 0)
    return Split.open(tmp_path / "q.npy")


class Oracle:
    """Knows of every query how fast it is, and answers with its song and its time there, or so many seconds later."""

    size_bytes = None

    def __init__(self, query: Split, late_s: float = 0):
        self.query, self.late_s = query, late_s

    def build(self, songs, threads):
        return self

    def answer(self, queries, length):
        clips, answers = self.query.clips, []
        for start in queries.starts:
            clip = 0
            while start >= segments_of(clips["samples"][clip]):
                start -= segments_of(clips["samples"][clip])
                clip += 1
            at = (
                start / 2 * clips["rate"][clip]
            )  # of two segments equally near, the later one is right: its end is 11.5
            answers.append((3 + clip, min(at, 11) + self.late_s * (1 if at < 8 else -1)))
        song, offset = np.array(answers).T
        return ranked(np.arange(len(song)), song.astype(int), offset, np.ones(len(song)), len(song))


def cell_of(query: Split, method) -> tuple[Cell, pd.DataFrame]:
    question = Question(SONGS.dummy.clips, SONGS.db.clips, query.clips, SEARCH)
    queries = Queries(query, question.asked.starts)
    answered = ask(method, SONGS, queries, LENGTHS, question.truth, threads=1)
    facts = {"dataset": "made up", "run": "method=all", "fields": {"method": "all"}, "index": ""}
    return question.cell(answered.placed, **facts, **answered.facts(timed=False))


MOVED = [
    {"speed": {"percent": [5, 5]}},
    {"speed": {"percent": [-20, 20]}},
    {"speed": {"percent": [50, 50]}},
    {"tempo": {"factor": [0.5, 0.5]}},
    {"tempo": {"factor": [2, 2]}},
]


@pytest.mark.parametrize("step", MOVED)
def test_who_knows_all_is_always_right_whatever_the_speed(tmp_path, step):
    query = queries_at(tmp_path, step)
    cell, table = cell_of(query, Oracle(query))
    assert all(hits == [cell.queries] * 3 for hits in cell.hits.values()), cell.hits
    assert cell.offset_ms == [0, 0, 0] and cell.songs == 4
    counts = [segments_of(samples) for samples in query.clips["samples"]]
    assert cell.queries == sum(count - 4 for count in counts)
    of_query = table[table["length"] == 1].reset_index()
    wanted = [n / 2 * rate for count, rate in zip(counts, query.clips["rate"], strict=True) for n in range(count - 4)]
    np.testing.assert_allclose(of_query["start"], wanted)
    assert set(of_query["rate"]) == set(query.clips["rate"])


@pytest.mark.parametrize("step", MOVED)
def test_who_is_off_by_a_segment_is_near_and_no_more(tmp_path, step):
    query = queries_at(tmp_path, step)
    cell, _ = cell_of(query, Oracle(query, late_s=0.5))
    assert cell.hits["top1_exact"] == [0, 0, 0]
    assert cell.hits["top1_near"] == cell.hits["top1_song"] == [cell.queries] * 3
    assert cell_of(query, Oracle(query, late_s=1))[0].hits["top1_near"] == [0, 0, 0]


@pytest.mark.parametrize("protocol", ["clip", "release", "nmfp"])
@pytest.mark.parametrize("test_ids", ["all", 3])
def test_where_time_does_not_move_a_segment_is_its_own_answer(protocol, test_ids):
    songs = pd.DataFrame({"samples": [48_000, 100, 90_001, 40_000]})
    asked = Asked.of(songs, songs, SEARCH | {"test_ids": test_ids, "protocol": protocol, "seed": 5})
    assert asked.starts.tolist() == choose_starts(songs["samples"], test_ids, protocol, LENGTHS, 5).tolist()
    assert asked.right.tolist() == asked.starts.tolist() and asked.moved is None


def tables(*rates: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Songs of 23 segments, and queries of other rates."""
    samples = [round(96_000 / rate) for rate in rates]
    return pd.DataFrame({"samples": [96_000] * len(rates)}), pd.DataFrame({"samples": samples, "rate": rates})


def test_the_right_segment_is_the_nearest_and_of_two_the_later():
    asked = Asked.of(*tables(1.25, 1.0), SEARCH)
    first = [
        0,
        1,
        3,
        4,
        5,
        6,
        8,
        9,
        10,
        11,
        13,
        14,
        15,
        16,
    ]  # n * 1.25 and a half, rounded down; 18 segments, 14 starts
    assert asked.right.tolist() == first + list(range(23, 23 + 19))
    assert asked.starts.tolist() == [*range(14), *range(18, 18 + 19)]
    assert asked.moved["start"][:4].tolist() == [0, 0.625, 1.25, 1.875] and asked.moved["rate"][14] == 1


def test_a_query_ends_no_later_than_its_song():
    """The last segments of a slow copy begin later than the last of the song."""
    asked = Asked.of(*tables(0.5), SEARCH | {"lengths": [1]})
    assert asked.right.tolist()[-4:] == [22, 22, 22, 22] and asked.right.max() == 22 and len(asked.starts) == 47


@pytest.mark.parametrize(
    ("protocol", "listed", "starts"),
    [
        ("clip", [0, 2, 13, 17, 18, 33], [0, 2, 10, 13, 18 + 10]),  # 17 and 18: the last place where 5 segments fit
        ("release", [0, 2, 13, 17, 18, 33], [0, 2, 10, 14, 18 + 10]),
        ("nmfp", [0, 7, 14, 37], [0, 7, 18 + 14]),  # 7 and 14: no others are nearer
    ],
)
def test_listed_starts_are_those_of_the_songs(tmp_path, protocol, listed, starts):
    """At 1.25 times the speed, segment 2 of the song begins at segment 1.6 of the query. Each counts once."""
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(map(str, listed)))
    search = SEARCH | {"test_ids": str(ids), "protocol": protocol}
    assert Asked.of(*tables(1.25, 1.0), search).starts.tolist() == starts


def test_listed_starts_must_be_possible(tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text("22\n")
    with pytest.raises(
        UserError, match="1 of 1 ids .the first is 22. that cannot start a sequence under protocol 'clip'"
    ):
        Asked.of(*tables(1.25), SEARCH | {"test_ids": str(ids)})
    ids.write_text("0\n")
    with pytest.raises(UserError, match="no query clip has the 23 segments"):
        Asked.of(*tables(1.25), SEARCH | {"test_ids": str(ids), "lengths": [23]})
