"""The method landmarks: audfprint2's pairs of peaks find songs and places. Tones have fewer peaks than music: density 200."""

from types import SimpleNamespace

import numpy as np
import pytest
from melodies import TRUE_OFFSETS_S, TRUE_SONGS, melodies_and_queries

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.errors import UserError
from nafp.methods import landmarks
from nafp.methods.answers import Queries
from nafp.methods.landmarks import Landmarks, agreeing_offsets

needs_audfprint2 = pytest.mark.skipif(bool(Landmarks().lacks()), reason=Landmarks().lacks())


@needs_audfprint2
@pytest.mark.parametrize("hop", [256, 128])
def test_songs_and_places_are_found(hop):
    songs, queries = melodies_and_queries()
    built = Landmarks(density=200, hop=hop).build(songs, threads=1)
    found = built.answer(queries, 5)
    assert found.song[:, 0].tolist() == TRUE_SONGS
    assert found.offset_s[:, 0] == pytest.approx(TRUE_OFFSETS_S, abs=0.02)
    assert (found.score[:, 0] > found.other_score).all() and (found.other_song != found.song[:, 0]).all()
    assert built.size_bytes == 4 * built.table.counts.sum() > 0
    again = Landmarks(density=200, hop=hop).build(songs, threads=2).answer(queries, 5)
    assert np.array_equal(again.song, found.song) and np.array_equal(again.score, found.score)


@needs_audfprint2
def test_options_reach_the_analysis_and_the_matching():
    songs, queries = melodies_and_queries()
    few, many = (Landmarks(density=density).build(songs, threads=1).size_bytes for density in (20, 200))
    assert few < many / 2
    assert Landmarks(density=200, fanout=1).build(songs, threads=1).size_bytes < many / 2
    once, often = (
        Landmarks(density=200, shifts=shifts).build(songs, threads=1).answer(queries, 5) for shifts in (1, 4)
    )
    assert often.score[:, 0].mean() > 1.3 * once.score[:, 0].mean()
    full = Landmarks(bucketsize=1).build(songs, threads=1)
    assert full.size_bytes == 4 * (full.table.counts > 0).sum()
    assert np.array_equal(full.table.table, Landmarks(bucketsize=1).build(songs, threads=1).table.table)


def test_offsets_agree_within_a_window_in_one_song():
    song = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])
    frame = np.array([5, 5, 6, 9, 7, -3, -2, -2, 40, -3])
    assert np.transpose(agreeing_offsets(song, frame, 0)).tolist() == [
        *([0, 5, 2], [0, 6, 1], [0, 7, 1], [0, 9, 1], [1, -3, 1], [1, -2, 2], [1, 40, 1], [2, -3, 1]),
    ]
    assert np.transpose(agreeing_offsets(song, frame, 1)).tolist() == [
        *([0, 5.75, 4], [0, 9, 1], [1, -7 / 3, 3], [1, 40, 1], [2, -3, 1]),
    ]
    assert np.transpose(agreeing_offsets(song[:1], frame[:1], 3)).tolist() == [[0, 5, 1]]


@needs_audfprint2
def test_the_best_place_is_that_of_the_matcher_of_audfprint():
    from audfprint2 import Matcher

    songs, queries = melodies_and_queries(noise=2000)
    built = Landmarks(density=200).build(songs, threads=1)
    matcher = Matcher()
    matcher.window, matcher.threshcount = 1, 0
    for query in range(len(queries)):
        samples = queries.audio(query, 5)
        song, _, frame, *_ = theirs = matcher.match_hashes(built.table, built.options.hashes(samples, 4))[0]
        ours = built.matches(samples)[0]
        assert ours[0] == song and ours[1] == pytest.approx((frame - 3 / 8) * 256 / 8000, abs=0.033)
        assert int(ours[2]) >= theirs[1]  # it counts only around the offset that is the most frequent by itself


@needs_audfprint2
def test_silence_and_short_songs_are_no_errors():
    silent = Split.of_clips([np.zeros(20000, np.int16), np.ones(300, np.int16)], ["silent.wav", "short.wav"])
    songs, queries = melodies_and_queries()
    found = Landmarks(density=200).build(Songs(silent, songs.db), threads=1).answer(queries, 3)
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
    with pytest.raises(
        UserError, match=rf"32 bits, too few for {most + 1:,} songs .* fewer or shorter songs, or a longer hop"
    ):
        method.bits_of_frames(segments, most + 1)


def test_a_machine_without_the_package_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setattr(landmarks, "find_spec", {"other": SimpleNamespace()}.get)
    assert Landmarks().lacks() == "audfprint2 is not installed; pip install audfprint2 installs it"
