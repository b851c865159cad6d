"""Query sets and augmented copies: levels, lengths, and what depends on what."""

import numpy as np
import pytest
import soundfile as sf
from audio_splits import split

from nafp import grid
from nafp.augment.chain import Chain
from nafp.augment.queries import pack_queries, write_copies
from nafp.data.corpus import Split
from nafp.data.pools import AudioPool

SONGS = split(3, clips=2, samples=40_000)
NOISE = {"bg": AudioPool(split(4, clips=2, samples=80_000))}


def queries(tmp_path, *steps, seed: int = 0, name: str = "q") -> Split:
    pack_queries(SONGS, tmp_path / f"{name}.npy", tmp_path / f"{name}.csv", Chain(steps, NOISE), seed)
    return Split.open(tmp_path / f"{name}.npy")


def noise_of(found: np.ndarray) -> np.ndarray:
    return found.astype(float) - SONGS.audio


def rms(x: np.ndarray, samples: int) -> np.ndarray:
    return np.sqrt((x.reshape(-1, samples) ** 2).mean(axis=1))


@pytest.mark.parametrize("snr_db", [-5, 0, 20])
def test_a_query_set_has_the_level_that_it_names(tmp_path, snr_db):
    found = queries(tmp_path, {"background": {"snr_db": [snr_db, snr_db]}})
    ratio = rms(SONGS.audio.astype(float), 8000) / rms(noise_of(found.audio), 8000)
    np.testing.assert_allclose(20 * np.log10(ratio), snr_db, atol=0.05)
    assert found.clips.equals(SONGS.clips)


def test_levels_differ_and_sounds_do_not(tmp_path):
    loud, soft = (queries(tmp_path, {"background": {"snr_db": [snr, snr]}}, name=f"q{snr}") for snr in (0, 20))
    np.testing.assert_allclose(noise_of(loud.audio), 10 * noise_of(soft.audio), atol=6)


def test_the_seed_decides(tmp_path):
    steps = {"background": {"snr_db": [0, 10]}}
    first, again, other = (queries(tmp_path, steps, seed=s, name=n).audio for s, n in ((0, "a"), (0, "b"), (1, "c")))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def copies(tmp_path, chain: Chain, every: int) -> np.ndarray:
    write_copies(SONGS, tmp_path, chain, seed=0, every=every)
    paths = [tmp_path / path for path in SONGS.clips["path"]]
    assert {path for path in tmp_path.rglob("*.wav")} == set(paths)
    return np.concatenate([sf.read(path, dtype="int16")[0] for path in paths]).astype(float)


def test_the_augmentation_changes_every_two_seconds(tmp_path):
    found = copies(tmp_path, Chain([{"gain": {"peak_db": [-20, 0]}}], samples=16_000), 16_000)
    for first, last in ((0, 16_000), (16_000, 32_000), (32_000, 40_000)):
        piece, song = found[first:last], SONGS.audio[first:last].astype(float)
        gain = piece @ song / (song @ song)
        np.testing.assert_allclose(piece, gain * song, atol=1)
    peaks = [np.abs(found[a : a + 16_000]).max() for a in (0, 16_000, 40_000, 56_000)]
    assert len({round(peak) for peak in peaks}) == 4


def test_the_level_is_that_of_the_whole_piece(tmp_path):
    chain = Chain([{"background": {"snr_db": [3, 3]}}], NOISE, samples=20_000)
    noise = copies(tmp_path, chain, 20_000) - SONGS.audio
    ratio = rms(SONGS.audio.astype(float), 20_000) / rms(noise, 20_000)
    np.testing.assert_allclose(20 * np.log10(ratio), 3, atol=0.05)


@pytest.mark.parametrize(
    "chain, snr",
    [
        ([], None),
        ([{"gain": {}}], None),
        ([{"time_offset": {}}, {"background": {"snr_db": [-10, -10]}}], -10),
        ([{"background": None}], 5),
        ([{"speech": {"snr_db": [0, 4]}}, {"background": {}}], 2),
    ],
)
def test_the_level_of_a_chain(chain, snr):
    assert grid.snr_of(chain) == snr
