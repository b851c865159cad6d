"""Methods that are no neural network: ranked answers, their places in the database, one that knows all and one that guesses."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from sign_bits import SignBits

from nafp import grid
from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.config.check import check_config
from nafp.errors import UserError
from nafp.evaluation.answered import ask, rows_at
from nafp.evaluation.cell import Cell
from nafp.evaluation.hits import per_query_table
from nafp.methods import METHODS, kind_of, method_of
from nafp.methods.answers import Queries, ranked
from nafp.methods.interface import Answering
from nafp.search.result import KEPT

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SECONDS = 6  # of each song: 11 segments
LENGTHS = [1, 3, 5]


def noise(count: int, seed: int) -> Split:
    """Songs of noise in bands that come and go."""
    rng = np.random.default_rng(seed)
    songs = []
    for _ in range(count):
        t = np.arange(8000 * SECONDS) / 8000
        pitch = rng.uniform(300, 2000, 12)
        tones = [
            np.sin(2 * np.pi * f * t) * (np.sin(2 * np.pi * g * t) > 0)
            for f, g in zip(pitch, rng.uniform(0.3, 3, 12), strict=True)
        ]
        songs.append((1500 * sum(tones)).astype(np.int16))
    return Split.of_clips(songs, [f"{seed}/{i}.wav" for i in range(count)])


@pytest.fixture(scope="module")
def songs() -> Songs:
    return Songs(noise(5, 1), noise(4, 2))


@pytest.fixture(scope="module")
def queries(songs) -> Queries:
    """The test songs with some noise; every segment from which the longest query fits."""
    loud = songs.db.audio + np.random.default_rng(3).normal(0, 500, len(songs.db.audio))
    query = Split(loud.astype(np.int16), songs.db.clips)
    return Queries(query, np.array([11 * song + start for song in range(4) for start in range(7)]))


def table_of(method: Answering, songs: Songs, queries: Queries):
    """The per-query table of a method, and what its answers cost."""
    truth = queries.starts + songs.dummy_rows
    answered = ask(method, songs, queries, LENGTHS, truth, threads=1)
    return per_query_table(answered.placed, queries.starts, truth, songs.of_row, songs.names), answered


@dataclass(frozen=True)
class Knowing(Answering):
    """Always right, but for what ``know`` says: from the number of a query to song and offset (seconds)."""

    know: object = None

    size_bytes = None

    def build(self, songs, threads):
        return self

    def answer(self, queries, length):
        places = [self.know(start) for start in queries.starts]
        q = np.arange(len(places))
        song, offset = np.array(places).T
        wrong = np.zeros(len(q), int)
        return ranked([*q, *q], [*song.astype(int), *wrong], [*offset, *wrong], [*np.ones(len(q)), *wrong], len(q))


def test_who_knows_all_is_always_right(songs, queries):
    table, _ = table_of(Knowing(lambda start: (5 + start // 11, start % 11 / 2)), songs, queries)
    cell = Cell.count(
        table, dataset="made up", run="method=all", fields={"method": "all"}, index="", database={"db": 99}
    )
    assert all(hits == [28, 28, 28] for hits in cell.hits.values()), cell.hits
    assert (cell.mrr, cell.offset_ms, cell.songs, cell.queries) == ([1, 1, 1], [0, 0, 0], 4, 28)


def test_who_guesses_is_right_by_chance(songs, queries):
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(40):
        table, _ = table_of(Knowing(lambda start: (rng.integers(9), rng.integers(11) / 2)), songs, queries)
        rates.append(table[["top1_exact", "top1_song"]].mean())
    exact_rate, song_rate = np.mean(rates, axis=0)
    assert exact_rate == pytest.approx(1 / 99, abs=0.005) and song_rate == pytest.approx(1 / 9, abs=0.015)


@pytest.mark.parametrize(
    ("off_s", "hits"),
    [(0.24, ("exact", "near")), (-0.24, ("exact", "near")), (0.5, ("near",)), (0.76, ()), (1, ()), (-0.5, ("near",))],
)
def test_half_a_segment_is_the_right_place_and_one_is_near(songs, queries, off_s, hits):
    table, _ = table_of(Knowing(lambda start: (5 + start // 11, start % 11 / 2 + off_s)), songs, queries)
    assert table["top1_exact"].all() == ("exact" in hits) and table["top1_exact"].any() == ("exact" in hits)
    assert table["top1_near"].all() == ("near" in hits) and table["top1_near"].any() == ("near" in hits)
    assert table["top1_song"].all()


def test_a_place_outside_of_its_song_is_as_far_inside(songs):
    ends = np.array([0, 10, 10, 11, 98, 0])  # right rows at the end of the song that the place is beyond
    assert rows_at(np.array([0, 0, 0, 1, 8, -1]), np.array([-1, 5.5, 99, 0, 5, 3]), songs.segments, ends).tolist() == [
        2,
        9,
        0,
        11,
        98,
        -1,
    ]


@pytest.mark.parametrize(
    "segments, truth, offset_s, row",
    [
        (1, 0, 10, -1),
        (1, 0, 0.2, 0),
        (2, 0, 10, -1),  # would be near
        (2, 1, -1, -1),
        (2, 1, 1.0, 0),  # near, and so it stays
        (3, 1, 10, -1),
        (3, 0, 10, 2),  # the right song, and no more
    ],
)
def test_a_place_outside_of_a_short_song_is_no_hit(segments, truth, offset_s, row):
    counts = np.array([segments, 2])
    assert rows_at(np.array([0]), np.array([offset_s]), counts, np.array([truth])).tolist() == [row]
    elsewhere = rows_at(np.array([0]), np.array([offset_s]), counts, np.array([segments]))  # a wrong song all the same
    assert 0 <= elsewhere[0] < segments


def test_answers_are_ranked_and_the_other_song_is_the_best_of_another_than_the_first():
    score = [0.5, 0.9, np.nan, 0.9, 0.1, -np.inf, *np.linspace(0.3, 0.2, 12)]
    query = [0, 0, 0, 0, 1, 1, *[3] * 12]
    song = [4, 2, 1, 2, 7, 8, *[6] * 11, 5]
    found = ranked(query, song, np.arange(18), score, 4)
    assert found.song.shape == (4, KEPT) and found.score.dtype == np.float32
    assert found.song[0, :4].tolist() == [2, 2, 4, -1] and found.offset_s[0, :2].tolist() == [1, 3]
    assert (found.song[2] == -1).all() and np.isneginf(found.score[2]).all()
    assert found.song[3].tolist() == [6] * KEPT
    assert found.other_song.tolist() == [4, -1, -1, 5] and found.other_score[1] == -np.inf
    assert (ranked([], [], [], [], 2).song == -1).all()


def test_bits_find_songs_by_their_sound(songs, queries):
    table, answered = table_of(SignBits(), songs, queries)
    assert table.groupby("length")["top1_exact"].mean().iloc[-1] > 0.9
    assert table["open_set"].mean() > 0.5
    assert answered.size_bytes == 9 * 91 * 32 // 8 and answered.build_s > 0 and answered.placed[0].ms > 0


# ---------------------------------------------------------------- in the config


@pytest.fixture
def bits(monkeypatch):
    """The method bits, registered."""
    from nafp.config import schema
    from nafp.options import options_schema

    monkeypatch.setitem(METHODS, "bits", SignBits)
    monkeypatch.setitem(schema.REGISTRIES, ("properties", "methods"), {"bits": options_schema(SignBits)})


def config_of(**study) -> dict:
    methods = {"bits": {}, "coarse": {"type": "bits", "bands": 16}}
    return CONFIG | {"external": {"theirs": "x"}, "methods": methods, "studies": {"mine": study}}


def test_methods_and_others_fingerprints_are_axes_of_studies(bits):
    config = config_of(aug=["none", "full"], method=["bits", "coarse"], external="theirs", index=["l2", "ivf"])
    check_config(config, ROOT)
    study = config["studies"]["mine"]
    keys = grid.study_cells(study, config)
    assert [(key.run[:16], key.index) for key in keys[4:]] == [
        ("external=theirs", "l2"),
        ("external=theirs", "ivf"),
        ("method=bits", ""),
        ("method=coarse", ""),
    ]
    assert grid.varied_fields(study, config) == ["aug", "method", "external", "index"]
    assert [grid.path_of(key, "best") for key in keys[5:7]] == [
        "external=theirs/epoch=last/ivf.json",
        "method=bits/answers.json",
    ]
    assert grid.path_of(keys[-1]._replace(query_set="loud"), "best") == "method=coarse/queries=loud/answers.json"
    assert method_of("coarse", config["methods"]["coarse"]) == SignBits(16)


def test_alone_they_are_the_study(bits):
    config = config_of(method="bits", external=["theirs"])
    assert [key.run for key in grid.study_cells(config["studies"]["mine"], config)] == [
        "external=theirs",
        "method=bits",
    ]
    config = config_of(
        runs=[{"bsz": 240}, {"external": "theirs", "index": "ivf"}, {"method": "bits"}], baseline={"method": "bits"}
    )
    check_config(config, ROOT)
    keys = grid.study_cells(config["studies"]["mine"], config)
    assert [(kind_of(key.run).axis, key.index) for key in keys] == [(None, "l2"), ("external", "ivf"), ("method", "")]
    assert grid.baseline(config["studies"]["mine"], config) == keys[-1]
    assert grid.baseline(config["studies"]["mine"], config, keys[:-1]) == keys[0]  # where the last one cannot work


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ({"method": "bit"}, "unknown method 'bit' in study 'mine'; known: bits, coarse"),
        ({"external": ["mine"]}, "unknown external 'mine' in study 'mine'; known: theirs"),
        (
            {"runs": [{"method": "bits", "bsz": 240}]},
            "study 'mine', run 0: bsz has no meaning for method=bits; leave it out",
        ),
        (
            {"runs": [{}, {"method": "bits", "index": "l2"}]},
            "study 'mine', run 1: index has no meaning for method=bits",
        ),
    ],
)
def test_what_means_nothing_is_refused(bits, study, says):
    with pytest.raises(UserError, match=says):
        check_config(config_of(**study), ROOT)


def test_options_of_a_method_are_those_of_its_file(bits):
    config = config_of(method="bits")
    config["methods"] |= {"bits": {"bands": 1}}
    with pytest.raises(UserError, match="methods.bits.bands: 1 is out of range; allowed: 2 to 64"):
        check_config(config, ROOT)
    config["methods"] |= {"bits": {}, "other": {"type": "landmark"}}
    with pytest.raises(UserError, match="methods.other.type: 'landmark' is not known; known: bits"):
        check_config(config, ROOT)


def test_a_method_that_cannot_work_here_is_refused_while_planning(bits, monkeypatch):
    def missing(self):
        raise UserError("fpcalc is not installed")

    monkeypatch.setattr(SignBits, "check", missing)
    with pytest.raises(UserError, match=r"^methods\.bits: fpcalc is not installed$"):
        check_config(config_of(method="bits"), ROOT)
    check_config(config_of(aug="full"), ROOT)  # nothing asks for it


def test_the_environment_of_every_method_is_there():
    assert all((ROOT / f"envs/{kind.environment}.yaml").is_file() for kind in (SignBits, *METHODS.values()))
