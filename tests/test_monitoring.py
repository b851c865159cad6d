"""Mixes with known cues, and what is counted when they are recognised."""

import numpy as np
import pandas as pd
import pytest

from nafp.data.layout import HOP, SAMPLE_RATE, SEGMENT
from nafp.identify.monitoring import Piece, compare, crossfaded, degraded
from nafp.identify.recognise import Limits, identify
from nafp.search.vectors import Database


def test_cues_lie_in_the_middle_of_fades():
    ones = np.full(10 * SAMPLE_RATE, 1000)
    mix, cues = crossfaded([Piece(ones, "a", 3.0), Piece(ones), Piece(ones, "b")], 2.0)
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
    found = compare(matches, cues)
    assert found["song"].tolist() == ["a", "b", "c", "b", "d", "a"]
    assert found["found"].tolist()[:3] == [True, False, False]
    assert found["found"].isna().tolist() == [False] * 3 + [True] * 3
    assert found.loc[0, ["onset_s", "offset_s"]].tolist() == [1, 1]
    assert found.loc[1:, ["onset_s", "offset_s"]].isna().all().all()


def test_planted_songs_are_found_at_their_cues():
    """Fingerprints instead of audio: pieces of three songs of a library, with others and noise between them."""
    g = np.random.default_rng(0)

    def unit(x: np.ndarray) -> np.ndarray:
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)

    library, other = unit(g.standard_normal((20 * 59, 64))), unit(g.standard_normal((400, 64)))
    parts, cues, at = [other[:30]], [], 30
    for song, begin, length in ((4, 10, 40), (11, 0, 25), (17, 20, 30)):
        parts += [library[song * 59 + begin :][:length], other[at : at + 20]]
        cues.append((str(song), at * HOP / SAMPLE_RATE, ((at + length - 1) * HOP + SEGMENT) / SAMPLE_RATE, begin / 2))
        at += length + 20
    clean = np.concatenate(parts)
    query = unit(clean + 0.08 * g.standard_normal(clean.shape))
    samples = np.full((len(query) - 1) * HOP + SEGMENT, 1000, np.int16)
    owner = np.repeat(np.arange(20), 59)
    names, first = [str(i) for i in range(20)], 59 * np.arange(20)
    matches = identify("radio", samples, query, Database(library, library[:0]), names, first, owner, Limits())
    found = compare(matches, table(*cues))
    assert found["found"].tolist() == [True, True, True]  # and nothing false
    assert found[["onset_s", "offset_s"]].abs().max().max() == 0
