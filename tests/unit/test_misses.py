"""Missed queries to hear: true misses, the right samples, every kind, always the same ones; and the songs that are hard."""

import base64
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from recount import answers, by_song
from replays import (
    FULL,
    LENGTHS,
    NONE,
    QUERIES_A_SONG,
    ROWS_A_SONG,
    TITLES,
    made_up_replay,
    row_of,
    samples_of,
    table_of,
)
from safetensors.torch import save_file

from nafp.audio.splits import Split
from nafp.model.features import LogMel
from nafp.model.model import build_model
from nafp.report.misses import choice, sounds
from nafp.report.misses.kinds import KINDS
from nafp.report.misses.replay import SONGS_SHOWN, write_misses
from nafp.report.page.misses import NARROW, missed_of
from nafp.report.page.page import Page
from nafp.report.songs import HeardSongs, cut

DUMMY_ROWS = 3 * ROWS_A_SONG
SETS = {"files": 0.4, "noise_m5": 0.1, "noise_0": 0.5, "phone": 0.8}


def written(replay, folder: Path) -> tuple[dict, pd.DataFrame]:
    """What a job writes: the JSON of the page, and the table of songs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_misses(replay, folder / "m.json", folder / "s.csv", threads=1)
    return json.loads((folder / "m.json").read_text()), pd.read_csv(folder / "s.csv", keep_default_na=False)


@pytest.fixture
def raw_sounds(monkeypatch):
    """Sounds as they are, so that they can be compared: float32 samples in base64."""
    monkeypatch.setattr(sounds, "sound", lambda samples: base64.b64encode(samples.astype("<f4").tobytes()).decode())


def heard(shown: dict, name: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(shown["media"][name]["sound"]), "<f4")


def test_the_sounds_are_the_samples_of_the_query_the_answer_and_the_right_place(raw_sounds, tmp_path):
    replay = made_up_replay(tmp_path, SETS)
    shown, _ = written(replay, tmp_path)
    dummy, db = Split.open(replay.packed["dummy"]), Split.open(replay.packed["test_db"])
    assert len(shown["queries"]) == 24
    for query in shown["queries"]:
        of_queries = Split.open(replay.sets[query["set"]]["packed"])
        asked = heard(shown, query["query"])
        np.testing.assert_array_equal(asked, samples_of(of_queries, query["song"], query["at_s"]))
        right = query["right"]
        assert (right["song"], right["at_s"]) == (query["song"], query["at_s"])
        np.testing.assert_array_equal(heard(shown, right["media"]), samples_of(db, right["song"], right["at_s"]))
        if answered := query["answered"]:
            split = dummy if answered["song"].startswith("d") else db
            np.testing.assert_array_equal(
                heard(shown, answered["media"]), samples_of(split, answered["song"], answered["at_s"])
            )
    assert any(not query["answered"] for query in shown["queries"])


def test_the_chosen_queries_are_misses_by_the_per_query_tables(tmp_path):
    """Hits, kinds, ranks, scores and what other runs answer, counted again from places and scores alone."""
    replay = made_up_replay(tmp_path, SETS)
    shown, _ = written(replay, tmp_path)
    for query in shown["queries"]:
        tables = {run: table_of(replay, query["set"], run) for run in (FULL, NONE)}
        hits = pd.read_parquet(tables[FULL])
        hits = hits[hits["length"] == 1].reset_index(drop=True)
        row = row_of(hits, query["song"], query["at_s"])
        again = {run: answers(table, 1, ROWS_A_SONG) for run, table in tables.items()}
        assert not again[FULL]["exact"].iloc[row.name] and not query["found"]
        assert query["kind"] == kind_by_hand(row, bool(again[FULL]["near"].iloc[row.name]))
        places = [row[f"place{i}"] for i in range(1, 11)]
        rank = places.index(row["truth"]) + 1 if row["truth"] in places else None
        if query["kind"] == "several equally good":
            assert query["rank"] == 2 and query["answered"]["at_s"] != query["at_s"]
        else:
            assert query["rank"] == rank
        assert query["right"]["score"] == (rank and round(float(row[f"score{rank}"]), 4))
        if query["answered"]:
            assert query["answered"]["score"] == round(float(row["score1"]), 4)
        (other,) = query["others"]
        assert (other["run"], other["found"]) == (NONE, bool(again[NONE]["exact"].iloc[row.name]))


def kind_by_hand(row: pd.Series, near: bool) -> str:
    place, truth = row["place1"], row["truth"]
    if place < 0:
        return "nothing found"
    if near:
        return "near (± 1 segment)"
    if place == truth:
        return "several equally good"
    if place // ROWS_A_SONG == truth // ROWS_A_SONG:
        return "same song, another time"
    return "another test song" if place >= DUMMY_ROWS else "a distractor song"


def test_kinds_songs_and_degradations_take_turns(tmp_path):
    shown, _ = written(made_up_replay(tmp_path, SETS), tmp_path)
    of_set = Counter(query["set"] for query in shown["queries"])
    by_degradation = [of_set[0], of_set[1] + of_set[2], of_set[3]]
    assert by_degradation == [8, 8, 8]
    assert of_set[1] == of_set[2] == 4
    assert {query["kind"] for query in shown["queries"] if query["set"] == 0} == {*KINDS} - {"exact", "silence"}
    songs = Counter(query["song"] for query in shown["queries"])
    assert set(songs) == set(TITLES) and max(songs.values()) <= 2 * min(songs.values())
    identities = [(query["set"], query["song"], query["at_s"]) for query in shown["queries"]]
    assert len(set(identities)) == len(identities)


def test_a_miss_in_silence_is_called_that(tmp_path):
    replay = made_up_replay(tmp_path, {"files": 0.3}, of_set=24)
    audio = np.load(replay.sets[0]["packed"])
    audio[: 8 * 8000] = 0  # the queries of the first song
    np.save(replay.sets[0]["packed"], audio)
    shown, _ = written(replay, tmp_path)
    assert {query["kind"] for query in shown["queries"] if query["song"] == TITLES[0]} <= {
        "silence",
        "near (± 1 segment)",
    }
    assert {query["song"] for query in shown["queries"] if query["kind"] == "silence"} == {TITLES[0]}


def test_the_same_seed_chooses_the_same_queries(tmp_path):
    replay = made_up_replay(tmp_path / "a", SETS)
    first, _ = written(replay, tmp_path / "once")
    written(replay, tmp_path / "twice")
    assert (tmp_path / "once/m.json").read_bytes() == (tmp_path / "twice/m.json").read_bytes()
    other, _ = written(made_up_replay(tmp_path / "a", SETS, seed=1), tmp_path / "other")
    assert first["queries"] != other["queries"]


def test_no_more_are_chosen_than_asked_for(tmp_path):
    shown, _ = written(made_up_replay(tmp_path, {"files": 0.2}), tmp_path)
    assert len(shown["queries"]) == 12
    shown, _ = written(made_up_replay(tmp_path, SETS, queries=5, of_set=2), tmp_path)
    assert len(shown["queries"]) == 5
    assert max(Counter(query["set"] for query in shown["queries"]).values()) <= 2


def test_dealing_by_hand():
    assert choice.deal([9, 9, 9], [[0], [1, 2]], 6) == [3, 2, 1]
    assert choice.deal([1, 9, 0], [[0], [1], [2]], 6) == [1, 5, 0]
    assert choice.deal([1, 1], [[0, 1]], 6) == [1, 1]
    assert choice.deal([], [], 6) == []


def test_of_a_run_that_finds_all_the_narrowest_hits_are_heard(tmp_path):
    replay = made_up_replay(tmp_path, {"files": 1.0})
    shown, _ = written(replay, tmp_path)
    hits = pd.read_parquet(table_of(replay))
    hits = hits[hits["length"] == 1]
    lead = sorted((hits["score1"] - hits["score2"]).tolist())[:12]
    assert [query["found"] for query in shown["queries"]] == [True] * 12
    found = [query["right"]["score"] - query["answered"]["score"] for query in shown["queries"]]
    np.testing.assert_allclose(found, lead, atol=1e-4)
    page = missed_of(shown)
    assert page["kinds"] == [NARROW] and "before the next" in page["queries"][0]["why"]
    text = Page("T", misses=shown).html()
    assert (
        "0 of 66 missed" in text
        and f"{FULL} finds all queries of 1&nbsp;s; these 12 by the smallest margins.\nPictures" in text
    )


def test_pictures_are_what_the_encoder_sees(tmp_path, monkeypatch):
    images = []
    monkeypatch.setattr(sounds, "grey_image", lambda image: images.append(image) or "")
    log_mel = LogMel(n_mels=64)
    x = np.random.default_rng(0).normal(0, 0.1, 20000).astype(np.float32)  # 2.5 s
    sounds.encoder_image(log_mel, x)
    parts = log_mel(torch.from_numpy(np.stack([x[:8000], x[8000:16000], x[12000:]]))).numpy()
    expected = np.concatenate([parts[0], parts[1], parts[2][:, 16:]], axis=1)
    scaled = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(images[0], scaled, atol=1e-6)
    assert images[0].shape == (64, 80)
    sounds.encoder_image(log_mel, np.zeros(8000, np.float32))
    assert np.isfinite(images[1]).all()


def test_a_sound_ends_with_its_song():
    split = Split.of_clips([np.arange(12000, dtype=np.int16), np.arange(500, dtype=np.int16)], ["a/a", "a/b"])
    np.testing.assert_array_equal(cut(split, 1, 3) * 32768, np.arange(4000, 12000))
    assert len(cut(split, 0, 2)) == 12000 and len(cut(split, 2, 5)) == 8000


def test_songs_of_one_name_are_told_apart():
    dummy = Split.of_clips([np.zeros(8000, np.int16)] * 2, ["one/intro.wav", "one/else.wav"])
    songs = HeardSongs(dummy, Split.of_clips([np.zeros(8000, np.int16)], ["two/intro.wav"]))
    assert songs.titles == ["one/intro.wav", "else", "two/intro.wav"]
    assert songs.of_row.tolist() == [0, 1, 2]


def test_queries_of_unknown_places_are_judged_by_song(raw_sounds, tmp_path):
    replay = made_up_replay(tmp_path, {"files": 0.4}, unplaced=["files"])
    shown, table = written(replay, tmp_path)
    hits = pd.read_parquet(table_of(replay))
    db = Split.open(replay.packed["test_db"])
    assert set(table["match"]) == {"song"} and shown["sets"][0]["placed"] is False
    for query in shown["queries"]:
        row = row_of(hits, query["song"], query["at_s"])
        places = [row[f"place{i}"] for i in range(1, 11) if row[f"place{i}"] >= 0]
        own = [place for place in places if place // ROWS_A_SONG == row["truth"] // ROWS_A_SONG]
        assert not query["found"] and (not places or places[0] not in own or row["score1"] == row["score2"])
        if own:
            at_s = (own[0] - DUMMY_ROWS) % ROWS_A_SONG / 2
            np.testing.assert_array_equal(heard(shown, query["right"]["media"]), samples_of(db, query["song"], at_s))
        else:
            assert query["right"] == {} and query["rank"] is None
    assert any(query["right"] for query in shown["queries"]) and any(not query["right"] for query in shown["queries"])
    page = Page("T", misses=shown).html()
    assert "is not known." in page and "of a recording" in page and "the best of the right song" in page


def test_methods_without_a_network_are_heard_too(tmp_path):
    runs = ["method=marks", "external=theirs"]
    shown, table = written(made_up_replay(tmp_path, {"files": 0.3}, runs=runs, seen=False), tmp_path)
    assert shown["runs"] == runs and set(table["run"]) == set(runs)
    assert len(shown["queries"]) == 12
    text = Page("T", misses=shown).html()
    assert "missed by external=theirs too" in text and "since this run has no encoder here" in text


def test_the_pictures_of_weights_of_others_are_as_these_say(tmp_path, monkeypatch):
    model = {"variant": "release", "width": 2}
    settings = {"features": {"n_mels": 32}, "model": model, "dim": 16}
    tensors = {name: tensor.contiguous() for name, tensor in build_model(**settings).state_dict().items()}
    save_file(tensors, tmp_path / "w.safetensors", {"settings": json.dumps(settings)})
    shapes = []
    monkeypatch.setattr(sounds, "grey_image", lambda image: shapes.append(image.shape) or "")
    written(made_up_replay(tmp_path, features=str(tmp_path / "w.safetensors")), tmp_path)
    assert set(shapes) == {(32, 32)}


def test_without_any_cell_that_is_said(tmp_path):
    shown, table = written(replace(made_up_replay(tmp_path), sets=[]), tmp_path)
    assert table.empty and shown["queries"] == []
    page = Page("T", misses=shown).html()
    assert "Nothing to hear: no run has answered queries yet." in page
    assert 'id="songs"' not in page


# ---------------------------------------------------------------- songs


def test_the_rates_of_songs_are_those_of_the_per_query_tables(tmp_path):
    replay = made_up_replay(tmp_path, {"files": 0.5, "phone": 0.2})
    shown, table = written(replay, tmp_path)
    assert set(table["query_set"]) == {"files"} and len(table) == 2 * len(TITLES)
    for run, rows in table.groupby("run"):
        rows = rows.sort_values("song")
        for length, column in ((min(LENGTHS), "short_pct"), (max(LENGTHS), "long_pct")):
            counted = by_song(table_of(replay, 0, run), "exact", length, ROWS_A_SONG)
            assert [n for _, n in counted] == rows["queries"].tolist() == [QUERIES_A_SONG] * len(TITLES)
            np.testing.assert_allclose(rows[column], [100 * hits / n for hits, n in counted])
    ours = table[table["run"] == FULL]
    assert ours["short_pct"].is_monotonic_increasing
    assert shown["songs"]["total"] == len(TITLES)
    assert [row["song"] for row in shown["songs"]["rows"]] == [Path(path).stem for path in ours["song"]]
    theirs = table[table["run"] == NONE].set_index("song").loc[ours["song"]]
    rates = [
        [[*a], [*b]]
        for a, b in zip(*(one[["short_pct", "long_pct"]].to_numpy() for one in (ours, theirs)), strict=True)
    ]
    np.testing.assert_allclose([row["rates"] for row in shown["songs"]["rows"]], rates, atol=0.01)


def test_the_song_that_one_is_taken_for_most(tmp_path):
    replay = made_up_replay(tmp_path, {"files": 0.1})
    _, table = written(replay, tmp_path)
    hits = pd.read_parquet(table_of(replay))
    names = ["d0", "d1", "d2", *TITLES]
    for row in table[table["run"] == FULL].to_dict("records"):
        some = hits[(hits["song"] == row["song"]) & (hits["length"] == 1) & (hits["place1"] >= 0)]
        taken = Counter(names[place // ROWS_A_SONG] for place in some["place1"])
        del taken[Path(row["song"]).stem]
        most = max(taken.values())
        assert row["times"] == most
        assert Path(row["taken_for"]).stem == next(name for name in names if taken[name] == most)


def test_the_page_has_the_hardest_of_many_songs(tmp_path):
    titles = [f"t{i}" for i in range(SONGS_SHOWN + 5)]
    shown, table = written(made_up_replay(tmp_path, {"files": 0.6}, runs=[FULL], titles=titles), tmp_path)
    assert table["song"].nunique() == len(titles)
    page = Page("T", misses=shown).html()
    assert f"The {SONGS_SHOWN} hardest of {len(titles)} songs" in page
    rates = [float(rate) for rate in re.findall(r'<td class="rate" data-value="([\d.]+)">', page)][::2]
    assert len(rates) == SONGS_SHOWN and rates == sorted(rates)
