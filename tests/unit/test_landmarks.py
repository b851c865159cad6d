"""The method landmarks: audfprint2's pairs of peaks find songs and places."""

from types import SimpleNamespace

import numpy as np
import pytest
from melodies import TRUE_OFFSETS_S, TRUE_SONGS, melodies_and_queries

from nafp.audio.splits import Split
from nafp.errors import UserError
from nafp.methods import landmarks
from nafp.methods.answers import Queries, Songs
from nafp.methods.landmarks import Landmarks

needs_audfprint2 = pytest.mark.skipif(bool(Landmarks().lacks()), reason=Landmarks().lacks())


@needs_audfprint2
@pytest.mark.parametrize("hop", [256, 128])
def test_songs_and_places_are_found(hop):
    songs, queries = melodies_and_queries()
    built = Landmarks(hop=hop).build(songs, threads=1)
    found = built.answer(queries, 5)
    assert found.song[:, 0].tolist() == TRUE_SONGS
    assert found.offset_s[:, 0] == pytest.approx(TRUE_OFFSETS_S, abs=0.02)
    assert (found.score[:, 0] > found.other_score).all() and (found.other_song != found.song[:, 0]).all()
    assert built.size_bytes == 4 * built.table.counts.sum() > 0
    again = Landmarks(hop=hop).build(songs, threads=2).answer(queries, 5)
    assert np.array_equal(again.song, found.song) and np.array_equal(again.score, found.score)


@needs_audfprint2
def test_options_reach_the_analysis_and_the_matching():
    songs, queries = melodies_and_queries()
    few, many = (Landmarks(density=density).build(songs, threads=1).size_bytes for density in (20, 200))
    assert few < many / 2
    assert Landmarks(fanout=1).build(songs, threads=1).size_bytes < many / 2
    with_all, strict = (Landmarks(min_count=count).build(songs, threads=1).answer(queries, 1) for count in (1, 40))
    assert (with_all.song[:, 0] >= 0).all() and (strict.song == -1).all()
    full = Landmarks(bucketsize=1).build(songs, threads=1)
    assert full.size_bytes == 4 * (full.table.counts > 0).sum()
    assert np.array_equal(full.table.table, Landmarks(bucketsize=1).build(songs, threads=1).table.table)


@needs_audfprint2
def test_silence_and_short_songs_are_no_errors():
    silent = Split.of_clips([np.zeros(20000, np.int16), np.ones(300, np.int16)], ["silent.wav", "short.wav"])
    songs, queries = melodies_and_queries()
    found = Landmarks().build(Songs(silent, songs.db), threads=1).answer(queries, 3)
    assert found.song[:, 0].tolist() == [song - 1 for song in TRUE_SONGS]
    none = Landmarks().build(songs, threads=1).answer(Queries(silent, np.array([0, 1])), 1)
    assert (none.song == -1).all() and np.isneginf(none.score).all()


@pytest.mark.parametrize("seconds", [1, 30, 3600])
def test_entries_hold_the_last_frame_and_every_song(seconds):
    """A frame that does not fit would come back as another one, a song too."""
    method, segments = Landmarks(), 2 * seconds - 1
    bits = method.bits_of_frames(segments, 1000)
    assert seconds * 8000 / method.hop < 1 << bits
    most = (1 << (32 - bits)) - 1
    assert method.bits_of_frames(segments, most) == bits
    with pytest.raises(UserError, match=rf"32 bits, too few for {most + 1:,} songs .* fewer or shorter songs, or a longer hop"):
        method.bits_of_frames(segments, most + 1)


def test_a_machine_without_the_package_is_told_how_to_get_it(monkeypatch):
    assert not Landmarks().lacks() or "pip install audfprint2" in Landmarks().lacks()
    monkeypatch.setattr(landmarks, "find_spec", {"other": SimpleNamespace()}.get)
    assert Landmarks().lacks() == "audfprint2 is not installed; pip install audfprint2 installs it"
