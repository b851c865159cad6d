"""Mixes with known cues, and what is counted when they are recognised."""

import numpy as np
import pandas as pd
import pytest
from programme import Excerpt, crossfaded, degraded, match_cues

from nafp.audio.segments import HOP, SAMPLE_RATE, SEGMENT
from nafp.identify.recognise import Interval, identify, joined
from nafp.identify.recordings import Recording
from nafp.identify.windows import Catalogue, Limits
from nafp.search.vectors import Database


def test_cues_lie_in_the_middle_of_fades():
    ones = np.full(10 * SAMPLE_RATE, 1000)
    mix, cues = crossfaded([Excerpt(ones, "a", 3.0), Excerpt(ones), Excerpt(ones, "b")], 2.0)
    assert len(mix) == 26 * SAMPLE_RATE
    assert cues["song"].tolist() == ["a", "b"]
    assert cues[["from_s", "to_s", "offset_s"]].to_numpy().tolist() == [[0, 9, 3], [17, 26, 1]]
    assert mix[5 * SAMPLE_RATE] == 1000
    assert mix[9 * SAMPLE_RATE] == pytest.approx(1000 * np.sqrt(2), rel=1e-3)  # the same samples on both sides


@pytest.mark.parametrize("snr_db", [0, 10])
def test_noise_has_the_level_it_is_given(snr_db):
    g = np.random.default_rng(0)
    samples, noise = 5000 * np.sin(np.arange(80000) * 0.3), g.standard_normal(9000)
    found = degraded(samples, noise, np.array([0, 1.0]), snr_db).astype(float)
    wet = np.append(0, samples[:-1])  # the response is a delay
    gain = (found @ wet) / (wet @ wet)
    assert 10 * np.log10(np.mean((gain * wet) ** 2) / np.mean((found - gain * wet) ** 2)) == pytest.approx(
        snr_db, abs=0.2
    )
    assert np.abs(found).max() == pytest.approx(0.9 * 32767, abs=1)


def table(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["song", "from_s", "to_s", "offset_s"])


def test_what_is_found_missed_and_false():
    cues = table(("a", 0, 10, 5), ("b", 20, 30, 0), ("c", 40, 50, 0))
    matches = table(
        ("a", 1, 11, 6),  # late by a second on both sides
        ("a", 2, 4, 7),  # once more
        ("b", 20, 29, 3),  # another place of the song
        ("d", 60, 65, 0),  # a song that was not played
        (None, 0, 70, 0),
    )
    found = match_cues(matches, cues)
    assert found["song"].tolist() == ["a", "b", "c", "b", "d", "a"]
    assert found["found"].tolist()[:3] == [True, False, False]
    assert found["found"].isna().tolist() == [False] * 3 + [True] * 3
    assert found.loc[0, ["onset_s", "offset_s"]].tolist() == [1, 1]
    assert found.loc[1:, ["onset_s", "offset_s"]].isna().all().all()


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def recording(query: np.ndarray) -> Recording:
    return Recording("radio", query, (len(query) - 1) * HOP + SEGMENT, 1000)


def catalogue(library: np.ndarray, song_length: int) -> Catalogue:
    songs = len(library) // song_length
    owner = np.repeat(np.arange(songs), song_length)
    names, first = [str(i) for i in range(songs)], song_length * np.arange(songs)
    return Catalogue(Database(library, library[:0]), names, first, owner)


def heard(library: np.ndarray, query: np.ndarray, song_length: int = 60) -> list[list]:
    """Song, from_s, to_s and offset_s of what is recognised in fingerprints, with a library of songs of one length."""
    found = identify(recording(query), catalogue(library, song_length), Limits())
    return found[["song", "from_s", "to_s", "offset_s"]].to_numpy().tolist()


def test_a_bar_that_is_repeated_is_no_interval_of_its_own():
    """Segments 12 to 23 of song 3 come again at 24, 36 and 48, not quite the same."""
    g = np.random.default_rng(0)
    library = unit(g.standard_normal((10 * 60, 64)))
    bar = library[3 * 60 + 12 : 3 * 60 + 24]
    for again in (24, 36, 48):
        library[3 * 60 + again : 3 * 60 + again + 12] = unit(bar + 0.04 * g.standard_normal(bar.shape))
    other = unit(g.standard_normal((20, 64)))
    query = np.concatenate([other, library[3 * 60 : 4 * 60], other])
    query = unit(query + 0.06 * g.standard_normal(query.shape))
    assert heard(library, query) == [["3", 10.0, 40.5, 0.0]]


def test_a_song_that_noise_covers_for_a_while_is_one_interval():
    g = np.random.default_rng(1)
    library = unit(g.standard_normal((10 * 60, 64)))
    query = library[4 * 60 : 5 * 60].copy()
    query[20:40] = unit(g.standard_normal((20, 64)))
    assert heard(library, query) == [["4", 0.0, 30.5, 0.0]]
    query[45:] = library[4 * 60 : 4 * 60 + 15]  # the song's beginning again: another interval
    assert heard(library, query) == [["4", 0.0, 23.0, 0.0], ["4", 22.5, 30.5, 0.0]]


def test_joined_intervals_take_the_place_that_fits_the_whole():
    """The first one took the beginning of song 1 for its repetition, 24 segments later, and a segment before the song for it."""
    library = unit(np.random.default_rng(4).standard_normal((10 * 60, 64)))
    library[84:96] = library[60:72]
    query = np.concatenate([library[:1], library[60:120]])
    windows = pd.DataFrame({"start": [0], "score": [0.9]})
    parts = [Interval(1, 5, 60, 59, windows), Interval(1, 0, 12, 83, windows)]
    (one,) = joined(parts, query, Database(library, library[:0]), 60 * np.arange(10))
    assert (one.song, one.first, one.last, one.row_offset, len(one.windows)) == (1, 1, 60, 59, 2)


def test_an_interval_ends_where_its_song_does():
    """The song behind it in the library sounds the same; the recording goes on with it."""
    g = np.random.default_rng(2)
    library = unit(g.standard_normal((10 * 60, 64)))
    assert heard(library, library[2 * 60 + 30 : 4 * 60 - 30]) == [["2", 0.0, 15.5, 15.0], ["3", 15.0, 30.5, 0.0]]


@pytest.mark.parametrize("level", [0.65, 0.95])
def test_ends_follow_how_much_the_song_is_like_itself(level):
    """A fade: segments with less and less of the song. From seven tenths of its best part on, they are its."""
    g = np.random.default_rng(3)
    library = np.pad(unit(g.standard_normal((10 * 60, 64))), ((0, 0), (0, 64)))
    other = np.roll(library[-60:], 64, axis=1)  # nothing in common with the library
    share = np.concatenate([np.zeros(10), [0.2, 0.4, 0.6, 0.8], np.ones(32), [0.8, 0.6, 0.4, 0.2], np.zeros(10)])
    mix = (level * share)[:, None] * library[60:120] + np.sqrt(1 - (level * share) ** 2)[:, None] * other
    assert heard(library, unit(mix)) == [["1", 6.5, 24.0, 6.5]]


def test_planted_songs_are_found_at_their_cues():
    """Fingerprints instead of audio: pieces of three songs of a library, with others and noise between them."""
    g = np.random.default_rng(0)
    library, other = unit(g.standard_normal((20 * 59, 64))), unit(g.standard_normal((400, 64)))
    parts, cues, at = [other[:30]], [], 30
    for song, begin, length in ((4, 10, 40), (11, 0, 25), (17, 20, 30)):
        parts += [library[song * 59 + begin :][:length], other[at : at + 20]]
        cues.append((str(song), at * HOP / SAMPLE_RATE, ((at + length - 1) * HOP + SEGMENT) / SAMPLE_RATE, begin / 2))
        at += length + 20
    clean = np.concatenate(parts)
    query = unit(clean + 0.08 * g.standard_normal(clean.shape))
    matches = identify(recording(query), catalogue(library, 59), Limits())
    found = match_cues(matches, table(*cues))
    assert found["found"].tolist() == [True, True, True]  # and nothing false
    assert found[["onset_s", "offset_s"]].abs().max().max() == 0
