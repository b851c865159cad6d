"""One's own music: decoding anything, a library that keeps up, matches and intervals."""

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from nafp.data.audio import AUDIO_FILES, read_any
from nafp.errors import UserError
from nafp.identify.library import Library, decoded, find_audio
from nafp.identify.recognise import COLUMNS, Limits, identify, intervals
from nafp.search.vectors import Database

DIM = 32


def tone(seconds: float, rate: int, hz: float = 440, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("block_s", [0.25, 30])
def test_any_rate_becomes_8_khz_without_seams(tmp_path, rate, block_s, monkeypatch):
    monkeypatch.setattr("nafp.data.audio.BLOCK_S", block_s)
    sf.write(tmp_path / "x.wav", np.stack([tone(2.3, rate), np.zeros(int(2.3 * rate))], axis=1), rate)
    found = read_any(tmp_path / "x.wav")
    assert found.dtype == np.int16
    assert abs(len(found) - 2.3 * 8000) <= 1
    expected = tone(2.3, 8000, level=0.25) * 32768  # the mean of tone and silence
    inner = slice(100, len(found) - 100)
    assert np.abs(found[inner] - expected[: len(found)][inner]).max() < 0.01 * 32768


@pytest.mark.parametrize("container", ["FLAC", "OGG", "MP3"])
def test_compressed_files(tmp_path, container):
    path = tmp_path / f"x.{container.lower()}"
    sf.write(path, tone(3, 44100), 44100, format=container)
    found = read_any(path)
    spectrum = np.abs(np.fft.rfft(found[8000:16000]))
    assert spectrum.argmax() == 440
    assert abs(len(found) - 24000) < 1000


CONTAINERS = {
    ".sph": "NIST",
    ".aif": "AIFF",
    ".aifc": "AIFF",
    ".oga": "OGG",
    ".opus": "OGG",
    ".snd": "AU",
    ".wave": "WAV",
}


def test_every_suffix_is_read_or_listed(tmp_path):
    for suffix in sorted(AUDIO_FILES):
        path, container = tmp_path / f"x{suffix.upper()}", CONTAINERS.get(suffix, suffix[1:].upper())
        if container in sf.available_formats():
            sf.write(path, tone(1, 8000), 8000, format=container, subtype="OPUS" if suffix == ".opus" else None)
        else:
            path.write_bytes(bytes(1000))
    found = find_audio(tmp_path)
    assert {path.suffix.lower() for path in found} == AUDIO_FILES
    unreadable = {path.suffix.lower() for path, (_, problem) in zip(found, decoded(found), strict=True) if problem}
    assert unreadable == {".m4a", ".aac", ".wma", ".ape", ".wv", ".mp2"}  # no libsndfile writes an MP2 to try


def test_broken_files_are_said(tmp_path):
    (tmp_path / "x.mp3").write_bytes(b"no music")
    with pytest.raises(UserError, match="x.mp3: cannot be read"):
        read_any(tmp_path / "x.mp3")


# ---------------------------------------------------------------- library


def embed(clips: list[np.ndarray]) -> np.ndarray:
    """A stand-in for a model: the first samples of each segment, as a unit vector."""
    segments = [clip[at : at + DIM] for clip in clips for at in range(0, max(len(clip) - 7999, 1), 4000)]
    x = np.stack([np.pad(s, (0, DIM - len(s))) for s in segments]).astype(np.float32) + 1e-3
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def song(seed: int, seconds: float = 12) -> np.ndarray:
    return np.random.default_rng(seed).integers(-9000, 9000, int(8000 * seconds)).astype(np.int16)


@pytest.fixture
def music(tmp_path):
    for i in range(3):
        sf.write(tmp_path / f"music/{i}.wav", song(i), 8000) if i else (tmp_path / "music").mkdir()
    sf.write(tmp_path / "music/0.wav", song(0), 8000)
    (tmp_path / "music/broken.mp3").write_bytes(b"no music")
    (tmp_path / "music/cover.jpg").write_bytes(b"a picture")
    return tmp_path / "music"


def test_only_new_songs_are_fingerprinted(music, tmp_path):
    seen = []

    def counted(clips):
        seen.append(len(clips))
        return embed(clips)

    library = Library(tmp_path / "store", "model", DIM)
    assert library.update(music, counted)["path"].tolist() == ["broken.mp3"]
    assert seen == [3]
    assert library.rows == 3 * 23
    sf.write(music / "3.flac", song(3), 8000)
    (music / "1.wav").unlink()
    again = Library(tmp_path / "store", "model", DIM)
    again.update(music, counted)
    assert seen == [3, 1]
    assert again.songs["path"].tolist() == ["0.wav", "2.wav", "broken.mp3", "3.flac"]
    owner = again.song_of_row()
    for i, seed in ((0, 0), (1, 2), (3, 3)):
        np.testing.assert_allclose(again.vectors[owner == i], embed([song(seed)]), atol=1e-6)
    assert (owner == -1).sum() == 23  # of the song that went


def test_an_interrupted_update_goes_on(music, tmp_path, monkeypatch):
    monkeypatch.setattr("nafp.identify.library.SONGS_AT_A_TIME", 1)
    calls = []

    def failing(clips):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return embed(clips)

    with pytest.raises(KeyboardInterrupt):
        Library(tmp_path / "store", "model", DIM).update(music, failing)
    with open(tmp_path / "store/0/fingerprints.f32", "ab") as file:
        file.write(b"half a fingerprint")
    library = Library(tmp_path / "store", "model", DIM)
    assert len(library.songs) == 2
    library.update(music, failing)
    assert len(calls) == 4
    np.testing.assert_allclose(library.vectors, embed([song(0), song(1), song(2)]), atol=1e-6)


def test_another_model_is_refused(music, tmp_path):
    Library(tmp_path / "store", "model", DIM).update(music, embed)
    with pytest.raises(UserError, match="was made with another model .model, d = 32, now other, d = 32."):
        Library(tmp_path / "store", "other", DIM)


def test_a_store_without_generations_begins_anew(music, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/library.json").write_text('{"model": "model", "dim": 32}')
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, embed)
    assert library.rows == 3 * 23


def test_a_folder_without_music(tmp_path):
    library = Library(tmp_path / "store", "model", DIM)
    with pytest.raises(UserError, match="has no audio files"):
        library.update(tmp_path / "store", embed)
    with pytest.raises(UserError, match="is not a folder"):
        library.update(tmp_path / "nowhere", embed)


# ---------------------------------------------------------------- matches


@pytest.fixture
def matches(music, tmp_path):
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, embed)
    database = Database(library.vectors[:0], library.vectors)

    def match(samples: np.ndarray) -> pd.DataFrame:
        names, first = library.songs["path"].tolist(), library.songs["first"].to_numpy()
        query = embed([samples])
        return identify("q", samples, query, database, names, first, library.song_of_row(), Limits())

    return match


def test_a_clip_is_found_with_its_place(matches):
    (row,) = matches(song(1)[8000 * 3 : 8000 * 8]).to_dict("records")
    assert list(row) == list(COLUMNS)
    assert (row["song"], row["offset_s"], row["from_s"], row["to_s"]) == ("1.wav", 3.0, 0.0, 5.0)
    assert row["score"] == pytest.approx(1, abs=1e-3)
    assert 0.1 < row["margin"] <= 2
    assert row["runner_up"] in ("0.wav", "2.wav")


@pytest.mark.parametrize("index", [None, "hnsw"])
def test_a_library_follows_its_folder(index, music, tmp_path, monkeypatch):
    """A song is added, one is changed, one goes: two are fingerprinted, and an index takes theirs alone."""
    seen = []

    def counted(clips):
        seen.append(len(clips))
        return embed(clips)

    def answer(library: Library, samples: np.ndarray) -> pd.DataFrame:
        names, first = library.songs["path"].tolist(), library.songs["first"].to_numpy()
        database = Database(library.vectors, library.vectors[:0])
        way = library.index(index, {"links": 16, "ef_construction": 80, "ef_search": 64}) if index else None
        assert way is None or len(way) == library.rows
        known = (database, names, first, library.song_of_row(), Limits())
        return identify("q", samples, embed([samples]), *known, index=way)

    for i in (4, 5):
        sf.write(music / f"{i}.wav", song(i), 8000)
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, counted)
    assert answer(library, song(1)[24000:64000])["song"].tolist() == ["1.wav"]

    monkeypatch.setattr("nafp.search.index.trained", lambda *args: pytest.fail("built anew"))
    sf.write(music / "3.flac", song(3), 8000)
    sf.write(music / "1.wav", song(11), 8000)
    (music / "2.wav").unlink()
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, counted)
    assert seen == [5, 2]
    assert library.rows == 7 * 23
    for samples, name in ((song(0), "0.wav"), (song(3), "3.flac"), (song(11), "1.wav")):
        found = answer(library, samples[24000:64000])
        assert (found["song"].tolist(), found["offset_s"].tolist()) == ([name], [3.0])
    for gone in (song(1), song(2)):
        found = answer(library, gone[24000:64000])
        assert found["song"].isna().all()
        assert found["note"].str.startswith("no match").all()


def test_no_row_of_a_library_ever_means_two_songs(music, tmp_path):
    """The last song goes and another comes: an index that holds the old one finds the new one."""
    (music / "broken.mp3").unlink()
    options = {"links": 16, "ef_construction": 80, "ef_search": 64}
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, embed)
    library.index("hnsw", options)
    (music / "2.wav").unlink()
    sf.write(music / "3.wav", song(3), 8000)
    library = Library(tmp_path / "store", "model", DIM)
    library.update(music, embed)
    found = library.index("hnsw", options).nearest(embed([song(3)]), 1)[:, 0]
    assert (library.song_of_row()[found] == library.songs["path"].tolist().index("3.wav")).all()


def test_a_library_that_is_mostly_of_the_past_is_written_anew(music, tmp_path):
    """Also when that is interrupted before it counts: then the next update does it."""
    Library(tmp_path / "store", "model", DIM).update(music, embed)
    (music / "0.wav").unlink()
    (music / "1.wav").unlink()
    (tmp_path / "store/1").mkdir()
    (tmp_path / "store/1/songs.csv").write_text("half")
    for _ in range(2):
        library = Library(tmp_path / "store", "model", DIM)
        library.update(music, lambda clips: pytest.fail("nothing is new"))
        assert library.songs["path"].tolist() == ["2.wav", "broken.mp3"]
        np.testing.assert_allclose(library.vectors, embed([song(2)]), atol=1e-6)
        assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["1", "library.json"]


def test_a_recording_of_two_songs_is_two_intervals(matches):
    noise = np.random.default_rng(9).integers(-9000, 9000, 8 * 8000).astype(np.int16)
    mix = np.concatenate([noise, song(2)[16000:80000], noise, song(0)])
    found = matches(mix)
    assert found["song"].tolist() == ["2.wav", "0.wav"]
    assert found["from_s"].tolist() == [8.0, 24.0]
    assert found["to_s"].tolist() == [16.5, 36.0]  # the stand-in hears the beginning of a segment only
    assert found["offset_s"].tolist() == [2.0, 0.0]


@pytest.mark.parametrize(
    "samples, note",
    [
        (song(1)[:7000], "shorter than 1 s (0.88 s)"),
        (np.zeros(40000, np.int16), "silence"),
        (song(77), "no match; the nearest is"),
    ],
)
def test_what_is_no_match_says_why(matches, samples, note):
    (row,) = matches(samples).to_dict("records")
    assert pd.isna(row["song"])
    assert row["note"].startswith(note)


def test_windows_that_disagree_are_different_intervals():
    found = pd.DataFrame({"start": range(8), "song": [0, 0, 0, 1, 1, 0, 0, 0], "score": 0.9, "runner_up": 0.1})
    found["place"] = found["start"] + [5, 5, 6, 40, 40, 5, 5, 90]
    parts = intervals(found, 2, Limits(windows=1))
    assert [part["start"].tolist() for part in parts] == [[0, 1, 2], [3, 4], [5, 6], [7]]
    assert [part["start"].tolist() for part in intervals(found, 2, Limits(windows=3))] == [[0, 1, 2]]
    weak = found.assign(score=[0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert [part["start"].tolist() for part in intervals(weak, 2, Limits(windows=1))][0] == [0, 1]
    assert len(intervals(found[:2], 2, Limits(windows=3))) == 1  # a short recording has no more windows
