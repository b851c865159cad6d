"""Query sets and augmented copies: levels, lengths, and what depends on what."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from audio_splits import split

from nafp import disk as space
from nafp import grid
from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.held_out import held_out
from nafp.augment.queries import pack_queries, write_copies
from nafp.errors import UserError
from nafp.evaluation.identity import digest_of_audio

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
    assert found.clips.drop(columns="sha256").equals(SONGS.clips)


def test_room_is_asked_for_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="the query set q.npy needs 0.00 GB, but only 0.00 GB are free"):
        queries(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_levels_differ_and_sounds_do_not(tmp_path):
    loud, soft = (queries(tmp_path, {"background": {"snr_db": [snr, snr]}}, name=f"q{snr}") for snr in (0, 20))
    np.testing.assert_allclose(noise_of(loud.audio), 10 * noise_of(soft.audio), atol=6)


def test_the_seed_decides(tmp_path):
    steps = {"background": {"snr_db": [0, 10]}}
    first, again, other = (queries(tmp_path, steps, seed=s, name=n).audio for s, n in ((0, "a"), (0, "b"), (1, "c")))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_query_sets_are_the_same_only_if_they_sound_the_same(tmp_path):
    """Cells of query sets of other noise are not compared query by query, though the songs are the same."""
    packed, steps = Split(SONGS.audio, SONGS.clips.assign(sha256=["1", "2"])), [{"background": {"snr_db": [0, 0]}}]
    tables = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tables.append(tmp_path / f"{name}.csv")
        pack_queries(packed, tmp_path / f"{name}.npy", tables[-1], Chain(steps, NOISE), seed)
    first, again, other = (digest_of_audio([pd.read_csv(table)]) for table in tables)
    assert first == again != other


def test_nothing_clips_without_a_gain(tmp_path, capsys):
    """Noise 10 dB above the music is beyond full scale: the clip is turned down as a whole, and keeps its levels."""
    loud = Split(2 * SONGS.audio, SONGS.clips)
    pack_queries(
        loud, tmp_path / "q.npy", tmp_path / "q.csv", Chain([{"background": {"snr_db": [-10, -10]}}], NOISE), 0
    )
    found = Split.open(tmp_path / "q.npy").audio.astype(float)
    songs = loud.audio.astype(float)
    for clip in (slice(0, 40_000), slice(40_000, 80_000)):
        assert np.abs(found[clip]).max() == 32767
        assert (np.abs(found[clip]) == 32767).sum() < 5
        gain = found[clip] @ songs[clip] / (songs[clip] @ songs[clip])  # noise and music have nothing in common
        noise = found[clip] - gain * songs[clip]
        ratio = rms(gain * songs[clip], 8000) / rms(noise, 8000)
        np.testing.assert_allclose(20 * np.log10(ratio), -10, atol=1)
    said = capsys.readouterr().out
    assert "2 of 2 clips would have clipped and were turned down as a whole, by up to " in said
    assert float(said.split("by up to ")[1].split(" dB")[0]) == pytest.approx(-20 * np.log10(gain), abs=1)


def test_a_query_set_that_fits_keeps_its_level(tmp_path, capsys):
    queries(tmp_path, {"background": {"snr_db": [20, 20]}})
    assert "clipped" not in capsys.readouterr().out


@pytest.mark.parametrize("frozen", [False, True])
def test_queries_can_be_spliced(tmp_path, frozen):
    """Each second goes on as another excerpt of the same place, 0.3 s in; both are within 0.1 s of it."""
    steps = {"time_offset": {"max_s": 0.1, "frozen": frozen}}, {"splice": {"p": 1.0, "at_s": [0.3, 0.3]}}
    found, song, displaced = queries(tmp_path, *steps).audio, SONGS.audio, []
    for second in range(5):
        places = []
        for part in (slice(0, 2400), slice(2400, 8000)):
            piece = found[8000 * second :][part].astype(int)
            at = [p for p in range(max(8000 * second - 1600, 0), min(8000 * second + 1600, 32_000) + 1)]
            places += [p for p in at if np.abs(song[p:][part] - piece).max() <= 1]
        assert len(places) == 2
        displaced.append([place - 8000 * second for place in places])
    assert np.abs(displaced).max() <= 800
    assert any(first != second for first, second in displaced)


def sounds(*paths: str) -> Split:
    return Split.of_clips([np.full(8000, i, np.int16) for i in range(len(paths))], list(paths))


def names(split: Split) -> list[str]:
    return [path.rsplit("/", 1)[1] for path in split.clips["path"]]


def test_validation_and_test_queries_share_no_sounds(capsys):
    rooms, mics = ([f"aug/ir/ts/{kind}/{i}{kind}.wav" for i in range(n)] for kind, n in (("room", 7), ("mic", 4)))
    val, test = (held_out(sounds(*mics, *rooms), part) for part in ("val", "test"))
    assert names(val) == ["0mic.wav", "1mic.wav", "0room.wav", "1room.wav", "2room.wav"]
    assert names(test) == ["2mic.wav", "3mic.wav", "3room.wav", "4room.wav", "5room.wav", "6room.wav"]
    assert capsys.readouterr().out == ""
    pool = AudioPool(test)
    starts = pool.random_starts(200, 8000, torch.Generator().manual_seed(0))
    assert set((pool.cut(starts, 8000)[:, 0] * 32768).round().int().tolist()) == {2, 3, 7, 8, 9, 10}


def test_noises_are_halved_whatever_their_folders():
    split = sounds(*(f"aug/bg/ts/{folder}/{i}.wav" for folder in "abc" for i in range(2)))
    assert [path[10:] for path in held_out(split, "val").clips["path"]] == ["a/0.wav", "a/1.wav", "b/0.wav"]
    assert len(held_out(split, "test").clips) == 3


def test_too_few_sounds_are_shared_and_it_is_said(capsys):
    split = sounds("aug/ir/ts/mic/a.wav", *(f"aug/ir/ts/room/{i}.wav" for i in range(4)))
    assert names(held_out(split, "val")) == ["a.wav", "0.wav", "1.wav"]
    assert names(held_out(split, "test")) == ["a.wav", "2.wav", "3.wav"]
    said = capsys.readouterr().out
    assert (
        said.count("validation and test queries share the held-out sounds of kind mic (only 1): aug/ir/ts/mic/a.wav")
        == 2
    )


def copies(tmp_path, chain: Chain, every: int) -> np.ndarray:
    write_copies(SONGS, tmp_path, chain, seed=0, every=every)
    paths = [tmp_path / path for path in SONGS.clips["path"]]
    assert {path for path in tmp_path.rglob("*.wav")} == set(paths)
    return np.concatenate([sf.read(path, dtype="int16")[0] for path in paths]).astype(float)


def test_the_augmentation_changes_every_two_seconds(tmp_path):
    found = copies(tmp_path, Chain([{"peak_normalize": {"peak_db": [-20, 0]}}], samples=16_000), 16_000)
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
        ([{"gain": {"db": [0, 0]}}], None),
        ([{"time_offset": {}}, {"background": {"snr_db": [-10, -10]}}], -10),
        ([{"background": None}], 5),
        ([{"speech": {"snr_db": [0, 4]}}, {"background": {}}], 2),
    ],
)
def test_the_level_of_a_chain(chain, snr):
    assert grid.snr_of(chain) == snr
