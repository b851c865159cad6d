"""One's own music: decoding anything, a library that keeps up, matches and intervals."""

import io
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from denied import deny, drops_out
from scipy.signal import resample_poly
from sounds import coded

from nafp.audio import decode
from nafp.audio.landmarks import landmarks
from nafp.audio.open import open_audio, read_any
from nafp.audio.splits import Split
from nafp.demo.band import render
from nafp.demo.song import plan_song
from nafp.errors import Unavailable, UserError
from nafp.identify.answers import gathered, to_json
from nafp.identify.job import update
from nafp.identify.library import Library
from nafp.identify.nearest import Exact, Without
from nafp.identify.places import find_audio, label, recordings
from nafp.identify.recognise import COLUMNS, identify, intervals
from nafp.identify.recordings import BlockLandmarks, BlockMeter, Recording, concatenated, read_recording
from nafp.identify.store import runs_of, write_lines
from nafp.identify.windows import Catalogue, Limits, best_songs, crowded
from nafp.model.fingerprint import fingerprint, fingerprint_blocks
from nafp.model.model import build_model
from nafp.search.vectors import Database
from nafp.walk import AUDIO_SUFFIXES

DIM = 32


def tone(seconds: float, rate: int, hz: float = 440, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("block_s", [0.25, 30])
def test_any_rate_becomes_8_khz_without_seams(tmp_path, rate, block_s, monkeypatch):
    monkeypatch.setattr("nafp.audio.open.BLOCK_S", block_s)
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
    """Those that can be written here are read, in upper case too; of the others, which hold zeros, it is said."""
    written = set()
    for suffix in sorted(AUDIO_SUFFIXES):
        path, container = tmp_path / f"x{suffix.upper()}", CONTAINERS.get(suffix, suffix[1:].upper())
        if container in sf.available_formats():
            sf.write(path, tone(1, 8000), 8000, format=container, subtype="OPUS" if suffix == ".opus" else None)
            written.add(suffix)
        else:
            path.write_bytes(bytes(1000))
    read = set()
    for path in find_audio(tmp_path):
        try:
            with open_audio(path) as audio:
                assert sum(map(len, audio.blocks())) > 0, path
            read.add(path.suffix.lower())
        except UserError as error:
            assert "cannot be read" in str(error)
    assert {path.suffix.lower() for path in find_audio(tmp_path)} == AUDIO_SUFFIXES
    assert read - {".gsm"} == written  # GSM without a container has no header: anything is sound


def test_broken_files_are_said(tmp_path):
    (tmp_path / "x.mp3").write_bytes(b"no music")
    with pytest.raises(UserError, match="x.mp3: cannot be read"):
        read_any(tmp_path / "x.mp3")


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_disk_that_drops_out_is_no_damage(tmp_path, monkeypatch, share):
    """Decoders take what the system does not read for the end of a file, or for a format that is not known."""
    path = coded(tmp_path / "x.m4a", tone(20, 44100), 44100, "ipod", "aac", 256_000)
    whole, size = read_any(path), path.stat().st_size

    class Disk(io.FileIO):
        def readinto(self, buffer):
            if share * size < self.tell() < size - 20_000:  # the index is at the end
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    with (
        monkeypatch.context() as patched,
        pytest.raises(Unavailable, match="x.m4a: cannot be read .Input/output error"),
    ):
        patched.setattr(decode, "open", lambda place, *_, **__: Disk(place), raising=False)
        read_any(path)
    np.testing.assert_array_equal(read_any(path), whole)
    with pytest.raises(UserError) as lasting:
        read_any(tmp_path)
    assert not isinstance(lasting.value, Unavailable)


# ---------------------------------------------------------------- library


def embed(blocks) -> list[np.ndarray]:
    """A stand-in for a model: the first samples of each segment, as a unit vector."""
    clip = np.concatenate([np.zeros(0, np.int16), *blocks])
    segments = [clip[at : at + DIM] for at in range(0, max(len(clip) - 7999, 1), 4000)]
    x = np.stack([np.pad(s, (0, DIM - len(s))) for s in segments]).astype(np.float32) + 1e-3
    return [x / np.linalg.norm(x, axis=1, keepdims=True)] if len(clip) else []


def vectors(*clips: np.ndarray) -> np.ndarray:
    return np.concatenate([part for clip in clips for part in embed([clip])])


def open_library(music, tmp_path, model: str = "model") -> Library:
    return Library(tmp_path / "store", music, model, DIM)


def updated(music, tmp_path, embed=embed) -> Library:
    """A library that is up to date, and closed, so that it can be opened again."""
    with open_library(music, tmp_path) as library:
        library.update(embed)
    return library


def heard(samples: np.ndarray, name: str = "q") -> Recording:
    return Recording(name, vectors(samples), len(samples), int(np.abs(samples.astype(np.int32)).max()))


def composed(seed: int, seconds: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    samples = render(plan_song(rng), seconds, rng)
    return np.round(samples / np.abs(samples).max() * 20000).astype(np.int16)


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

    def counted(blocks):
        found = embed(blocks)
        seen.append(len(found))
        return found

    with open_library(music, tmp_path) as library:
        assert library.update(counted)["path"].tolist() == ["broken.mp3"]
    assert seen == [1, 1, 1]
    assert library.rows == 3 * 23
    sf.write(music / "3.flac", song(3), 8000)
    (music / "1.wav").unlink()
    again = updated(music, tmp_path, counted)
    assert seen == [1, 1, 1, 1]
    assert again.songs["path"].tolist() == ["0.wav", "2.wav", "broken.mp3", "3.flac"]
    owner = again.song_of_row()
    for i, seed in ((0, 0), (1, 2), (3, 3)):
        np.testing.assert_allclose(again.vectors[owner == i], vectors(song(seed)), atol=1e-6)
    assert (owner == -1).sum() == 23  # fingerprints of the deleted song


@pytest.mark.parametrize("half", [b"half a fingerprint", b""])
def test_an_interrupted_update_goes_on(music, tmp_path, half):
    calls = []

    def failing(blocks):
        for part in embed(blocks):
            calls.append(1)  # after a block: a broken file has none
            yield part[:10]
            if len(calls) == 3:
                raise KeyboardInterrupt
            yield part[10:]

    with pytest.raises(KeyboardInterrupt):
        updated(music, tmp_path, failing)
    with open(tmp_path / "store/0/fingerprints.f32", "ab") as file:
        file.write(half)
    with open(tmp_path / "store/0/songs.jsonl", "ab") as file:
        file.write(b'{"path": "2.w')
    with open_library(music, tmp_path) as library:
        assert len(library.songs) == 2
        library.update(failing)
    assert len(calls) == 4
    np.testing.assert_allclose(library.vectors, vectors(song(0), song(1), song(2)), atol=1e-6)
    assert updated(music, tmp_path, failing).songs["path"].tolist() == ["0.wav", "1.wav", "2.wav", "broken.mp3"]
    assert len(calls) == 4


def test_a_song_that_cannot_be_read_just_now_is_tried_again(music, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("nafp.audio.open.sounds", drops_out(music / "1.wav", times=1))
    with open_library(music, tmp_path) as library:
        update(library, embed)
        assert library.songs["path"].tolist() == ["0.wav", "2.wav", "broken.mp3"] and library.rows == 2 * 23
    said = capsys.readouterr().err.splitlines()
    assert "skipped 1.wav: cannot be read (Input/output error)" in said
    assert said[-1] == "2 songs, 46 fingerprints; 2 broken files or folders skipped"
    assert pd.read_csv(tmp_path / "store/left_out.csv")["path"].tolist() == ["broken.mp3", "1.wav"]
    with open_library(music, tmp_path) as library:
        assert library.update(embed)["path"].tolist() == ["broken.mp3"]
    np.testing.assert_allclose(library.vectors, vectors(song(0), song(2), song(1)), atol=1e-6)


def test_songs_that_are_too_short_are_said(music, tmp_path, capsys):
    sf.write(music / "jingle.wav", song(5, 3), 8000)
    sf.write(music / "longer.wav", song(6, 3.5), 8000)
    with open_library(music, tmp_path) as library:
        update(library, embed)
    said = capsys.readouterr().err.splitlines()
    assert "songs of 3 s or less, too short to be found in a longer recording: 1, such as jingle.wav" in said


def test_a_library_on_a_disk_that_drops_out(music, tmp_path, monkeypatch):
    def nothing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("nafp.audio.open.sounds", nothing)
    with open_library(music, tmp_path) as library, pytest.raises(UserError, match="none of its 4 files could be read"):
        update(library, embed)


def test_another_model_is_refused(music, tmp_path):
    updated(music, tmp_path)
    with pytest.raises(UserError, match="by the model model, now it is .* by other; type  rm -r '.*store'"):
        open_library(music, tmp_path, "other")


def test_fingerprints_of_another_folder_are_never_used(music, tmp_path):
    """The same names, sizes and times elsewhere: other songs."""
    updated(music, tmp_path)
    shutil.copytree(music, tmp_path / "copy", copy_function=shutil.copy2)
    with pytest.raises(UserError, match="holds the library .*/music by the model model, now it is .*/copy"):
        Library(tmp_path / "store", tmp_path / "copy", "model", DIM)
    assert label(music) != label(tmp_path / "copy" / "music")


def test_a_song_that_changed_but_for_size_and_time_is_fingerprinted_again(music, tmp_path):
    updated(music, tmp_path)
    before = (music / "1.wav").stat()
    sf.write(music / "1.wav", song(11), 8000)
    os.utime(music / "1.wav", ns=(before.st_atime_ns, before.st_mtime_ns))
    library = updated(music, tmp_path)
    owner, names = library.song_of_row(), library.songs["path"].tolist()
    np.testing.assert_allclose(library.vectors[owner == names.index("1.wav")], vectors(song(11)), atol=1e-6)


def test_two_at_once_on_one_store_are_refused(music, tmp_path):
    with (
        open_library(music, tmp_path) as library,
        pytest.raises(UserError, match="another identify is at work on this library.*process"),
    ):
        library.update(embed)
        open_library(music, tmp_path)
    open_library(music, tmp_path).close()


NAMES = [
    b"caf\xe9.wav",  # Latin-1
    b"two\nlines.wav",
    b"carriage\rreturn.wav",
    "next\x85line.wav".encode(),
    "line\u2028separator.wav".encode(),
    b"a" * 251 + b".wav",
    b'=1+1,"quoted".wav',
]


def test_names_of_any_bytes(music, tmp_path):
    """They are the same ones when the store is read again, so nothing is done twice."""
    for number, name in enumerate(NAMES):
        with open(os.fsencode(music) + b"/" + name, "wb") as file:
            sf.write(file, song(20 + number), 8000, format="WAV")
    songs = updated(music, tmp_path).songs
    assert {os.fsencode(name) for name in songs["path"]} >= set(NAMES)
    again = updated(music, tmp_path, lambda blocks: pytest.fail("nothing is new"))
    assert again.songs["path"].tolist() == songs["path"].tolist()


def poison_facts(store):
    (store / "library.json").write_bytes(b"\0" * 80)


def poison_table(store):
    table = store / "0/songs.jsonl"
    table.write_bytes(b"\xff\n{}\n[]\n" + table.read_bytes().replace(b'"rows": 23', b'"rows": 2300', 1) + b'{"path"')


def poison_vectors(store):
    with open(store / "0/fingerprints.f32", "r+b") as file:
        file.write(bytes(DIM * 4))


def poison_a_few_vectors(store):
    with open(store / "0/fingerprints.f32", "r+b") as file:
        file.write(np.full(DIM, np.nan, np.float32).tobytes())


def cut_vectors(store):
    with open(store / "0/fingerprints.f32", "r+b") as file:
        file.truncate(30 * DIM * 4)


def lose_marks(store):
    (store / "0/marks.i32").unlink()


def break_index(store):
    (store / "0/index/index.faiss").write_bytes(b"no index")


DAMAGES = [poison_facts, poison_table, poison_vectors, poison_a_few_vectors, cut_vectors, lose_marks, break_index]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_heals(music, tmp_path, damage):
    options = {"M": 16, "efConstruction": 80, "efSearch": 64}
    with open_library(music, tmp_path) as library:
        library.update(embed)
        library.index("hnsw", options)
    damage(tmp_path / "store")
    with open_library(music, tmp_path) as library:
        library.update(embed)
        assert sorted(library.songs["path"]) == ["0.wav", "1.wav", "2.wav", "broken.mp3"]
        for seed in range(3):
            found = identify(heard(song(seed)), library.catalogue(), Limits(), library.index("hnsw", options))
            assert found["song"].tolist() == [f"{seed}.wav"]
        np.testing.assert_allclose(np.linalg.norm(library.vectors, axis=1), 1, atol=1e-3)


@pytest.mark.parametrize("dropped", [True, False])
def test_damaged_fingerprints_do_not_train_an_index(music, tmp_path, dropped):
    """Neither those of a song that is dropped for them, nor those of a song that a former version dropped."""
    updated(music, tmp_path)
    poison_a_few_vectors(tmp_path / "store")
    table = tmp_path / "store/0/songs.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    write_lines(table, rows if dropped else [row for row in rows if row["first"] or not row["rows"]])
    with open_library(music, tmp_path) as library:
        library.update(embed)
        index = library.index("ivfpq-rr", {"nlist": 2, "nprobe": 2, "m": 8, "nbits": 4, "k_factor": 8})
        (row,) = identify(heard(song(0)), library.catalogue(), Limits(), index).to_dict("records")
    assert row["song"] == "0.wav"


def test_a_store_of_an_older_form_begins_anew(music, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/library.json").write_text('{"model": "model", "dim": 32, "generation": 3}')
    assert updated(music, tmp_path).rows == 3 * 23


def test_a_folder_without_music(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, problem in (("empty", "has no audio files"), ("nowhere", "is not a folder")):
        with open_library(tmp_path / folder, tmp_path / folder) as library, pytest.raises(UserError, match=problem):
            shutil.rmtree(tmp_path / "nowhere", ignore_errors=True)
            library.update(embed)


def test_a_short_recording_costs_its_own_segments():
    network, sizes = build_model({"n_mels": 64}, {"variant": "release", "width": 2}, 16).eval(), []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    (found,) = fingerprint_blocks(network, [song(0, 3), song(1, 5)], torch.device("cpu"))
    assert sizes == [15]
    assert found.shape == (15, 16)


@pytest.mark.parametrize("seconds", [0.5, 1, 1.4, 8, 128.4, 128.5, 300])
@pytest.mark.parametrize("block", [3000, 240_000])
def test_fingerprints_of_blocks_are_those_of_the_whole(seconds, block):
    """However the recording is cut into blocks, of which memory holds a batch at most."""
    network = build_model({"n_mels": 64}, {"variant": "release", "width": 2}, 16).eval()
    samples, device = song(0, seconds), torch.device("cpu")
    split = Split.of_clips([samples], ["clips/x"])
    whole = np.empty((len(split.segments), 16), np.float32)
    fingerprint(network, split, device, whole)
    blocks = (samples[at : at + block] for at in range(0, len(samples), block))
    parts = list(fingerprint_blocks(network, blocks, device))
    assert max(map(len, parts)) <= 32
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_a_recording_is_read_block_by_block(tmp_path):
    sf.write(tmp_path / "long.wav", song(1, 100), 8000)
    lengths = []

    def counted(blocks):
        for block in blocks:
            lengths.append(len(block))
            yield np.zeros((1, DIM), np.float32)

    recording = read_recording("long.wav", tmp_path / "long.wav", counted)
    assert (recording.samples, recording.peak) == (800_000, np.abs(song(1, 100)).max())
    assert max(lengths) <= 30 * 8000
    sf.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    with pytest.raises(UserError, match="empty.wav: no samples"):
        read_recording("empty.wav", tmp_path / "empty.wav", embed)


@pytest.mark.parametrize("sizes", [[], [3], [8192], [8000, 500, 192], [9000, 1], [1] * 20])
def test_fingerprints_are_collected_in_order(sizes):
    g = np.random.default_rng(0)
    parts = [g.standard_normal((size, 4)).astype(np.float32) for size in sizes]
    np.testing.assert_array_equal(
        concatenated(iter(parts)), np.concatenate([np.zeros((0, 4)), *parts])[:, : 4 * bool(sizes)]
    )


def test_landmarks_of_a_long_song_are_those_of_the_whole():
    """But for pairs of peaks across the borders between the parts whose landmarks are computed at once."""
    x = composed(3, 150)
    marks = BlockLandmarks([x[:100_000], x[100_000:]])
    assert sum(map(len, marks)) == len(x)
    ours, whole = set(map(tuple, np.concatenate(marks.found).tolist())), set(map(tuple, landmarks(x).tolist()))
    assert len(ours & whole) > 0.95 * len(whole)
    assert len(ours) < 1.01 * len(whole)


# ---------------------------------------------------------------- matches


@pytest.fixture
def matches(music, tmp_path):
    catalogue = updated(music, tmp_path).catalogue()

    def match(samples: np.ndarray) -> pd.DataFrame:
        return identify(heard(samples), catalogue, Limits())

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
    """A song is added, one is changed, one is deleted: two are fingerprinted, and an index takes theirs alone."""
    seen = []

    def counted(blocks):
        for number, part in enumerate(embed(blocks)):
            seen.extend([1] * (number == 0))  # a broken file has no first block
            yield part

    def answer(library: Library, samples: np.ndarray) -> pd.DataFrame:
        way = library.index(index, {"M": 16, "efConstruction": 80, "efSearch": 64}) if index else None
        assert way is None or len(way) == library.rows
        return identify(heard(samples), library.catalogue(), Limits(), index=way)

    for i in (4, 5):
        sf.write(music / f"{i}.wav", song(i), 8000)
    library = updated(music, tmp_path, counted)
    assert answer(library, song(1)[24000:64000])["song"].tolist() == ["1.wav"]

    monkeypatch.setattr("nafp.search.faiss_index.trained", lambda *args: pytest.fail("built anew"))
    sf.write(music / "3.flac", song(3), 8000)
    sf.write(music / "1.wav", song(11), 8000)
    (music / "2.wav").unlink()
    library = updated(music, tmp_path, counted)
    assert len(seen) == 7
    assert library.rows == 7 * 23
    for samples, name in ((song(0), "0.wav"), (song(3), "3.flac"), (song(11), "1.wav")):
        found = answer(library, samples[24000:64000])
        assert (found["song"].tolist(), found["offset_s"].tolist()) == ([name], [3.0])
    for deleted in (song(1), song(2)):
        found = answer(library, deleted[24000:64000])
        assert found["song"].isna().all()
        assert found["note"].str.startswith("no match").all()


@pytest.mark.parametrize("index", [None, "hnsw"])
def test_a_song_that_is_changed_again_and_again_is_found(music, tmp_path, index):
    """Its former fingerprints stay in the store, more of them than the neighbours that are searched for."""
    for i in range(4, 31):
        sf.write(music / f"{i}.wav", song(i), 8000)
    for time in range(25):
        os.utime(music / "1.wav", (time, time))
        library = updated(music, tmp_path)
        assert library.generation == 0
    way = library.index(index, {"M": 16, "efConstruction": 80, "efSearch": 64}) if index else None
    answer = identify(heard(song(1)[24000:64000]), library.catalogue(), Limits(), way)
    (row,) = [
        json.loads(line, parse_constant=pytest.fail)
        for line in to_json(gathered(answer.to_dict("records"))).splitlines()
    ]
    assert (row["song"], row["offset_s"], row["score"]) == ("1.wav", 3.0, 1.0)


def test_the_score_of_nothing_is_unknown(music, tmp_path):
    """Not infinite, which JSON cannot say."""
    catalogue = updated(music, tmp_path).catalogue()
    nothing = replace(catalogue, song_of_row=np.full_like(catalogue.song_of_row, -1))
    answer = identify(heard(song(1)), nothing, Limits())
    (row,) = map(json.loads, to_json(gathered(answer.to_dict("records"))).splitlines())
    assert (row["song"], row["score"], row["note"]) == (None, None, "no match")


def test_no_row_of_a_library_ever_means_two_songs(music, tmp_path):
    """The last song is deleted and another comes: an index that holds the old one finds the new one."""
    (music / "broken.mp3").unlink()
    options = {"M": 16, "efConstruction": 80, "efSearch": 64}
    updated(music, tmp_path).index("hnsw", options)
    (music / "2.wav").unlink()
    sf.write(music / "3.wav", song(3), 8000)
    library = updated(music, tmp_path)
    found = library.index("hnsw", options).nearest(vectors(song(3)), 1)[:, 0]
    assert (library.song_of_row()[found] == library.songs["path"].tolist().index("3.wav")).all()


def test_a_library_that_is_mostly_of_the_past_is_compacted(music, tmp_path):
    """Also when that is interrupted before it counts: then the next update does it."""
    updated(music, tmp_path)
    (music / "0.wav").unlink()
    (music / "1.wav").unlink()
    (tmp_path / "store/1").mkdir()
    (tmp_path / "store/1/songs.jsonl").write_text("half")
    for _ in range(2):
        library = updated(music, tmp_path, lambda blocks: pytest.fail("nothing is new"))
        assert library.songs["path"].tolist() == ["2.wav", "broken.mp3"]
        np.testing.assert_allclose(library.vectors, vectors(song(2)), atol=1e-6)
        assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["1", "library.json", "lock"]
        np.testing.assert_array_equal(library.catalogue().marks(0), landmarks(song(2)))


@pytest.mark.parametrize("lost", ["denied", "link"])
def test_songs_in_a_folder_that_cannot_be_read_are_kept(music, tmp_path, monkeypatch, capsys, lost):
    """They are most of the library: taken for deleted, they would be lost when it is compacted."""
    (tmp_path / "disk").mkdir()
    (music / "album").symlink_to(tmp_path / "disk")
    for number in range(4, 10):
        sf.write(music / f"album/{number}.wav", song(number), 8000)
    (music / "gone.wav").symlink_to("/nowhere/gone.wav")
    before = updated(music, tmp_path)
    names, rows = before.songs["path"].tolist(), before.rows
    if lost == "denied":
        deny(monkeypatch, "scandir", music / "album")
    else:
        (tmp_path / "disk").rename(tmp_path / "elsewhere")
    (music / "0.wav").unlink()
    with open_library(music, tmp_path) as library:
        update(library, lambda blocks: pytest.fail("nothing is new"))
    assert library.songs["path"].tolist() == [name for name in names if name != "0.wav"]
    assert (library.generation, library.rows) == (0, rows)
    assert identify(heard(song(5)), library.catalogue(), Limits())["song"].tolist() == ["album/5.wav"]
    nowhere = "a link to a file that is not there"
    why = {"denied": "cannot be read (Permission denied)", "link": nowhere}[lost]
    assert {f"skipped album: {why}", f"skipped gone.wav: {nowhere}"} < set(capsys.readouterr().err.splitlines())
    listed = pd.read_csv(tmp_path / "store/left_out.csv").set_index("path")["problem"]
    assert (listed["album"], listed["gone.wav"]) == (why, nowhere)


def test_what_cannot_be_read_among_recordings(music, tmp_path, monkeypatch):
    (music / "album").mkdir()
    (music / "gone.wav").symlink_to("/nowhere/gone.wav")
    deny(monkeypatch, "scandir", music / "album")
    found, unreadable = recordings([str(music)])
    assert [name for name, _ in found] == ["0.wav", "1.wav", "2.wav", "broken.mp3"]
    assert unreadable == {
        "album": "cannot be read (Permission denied)",
        "gone.wav": "a link to a file that is not there",
    }
    deny(monkeypatch, "scandir", music)
    with pytest.raises(
        UserError, match="has no audio files that can be read; .*music: cannot be read .Permission denied"
    ):
        recordings([str(music)])


@pytest.fixture
def library_with_copies(tmp_path):
    """Composed songs, one of them again as an MP3, as the same file, and cut to its chorus."""
    folder, songs = tmp_path / "songs", [composed(seed, 40) for seed in range(4)]
    folder.mkdir()
    for number, samples in enumerate(songs):
        sf.write(folder / f"{number}.wav", samples, 8000)
    wide = resample_poly(songs[1].astype(float), 441, 80) / 32768
    sf.write(folder / "best of.mp3", wide, 44100, format="MP3")
    shutil.copy(folder / "1.wav", folder / "1 (copy).wav")
    sf.write(folder / "edit.wav", songs[1][8000 * 10 : 8000 * 32], 8000)
    return folder, songs


def test_copies_of_a_song_do_not_keep_each_other_from_being_recognised(library_with_copies, tmp_path):
    """The landmarks say that they are copies; all of them are named. A song that only sounds alike stays a rival."""
    folder, songs = library_with_copies
    torch.manual_seed(0)
    network = build_model({"n_mels": 64}, {"variant": "release", "width": 2}, 16).eval()

    def by_model(blocks):
        return fingerprint_blocks(network, blocks, torch.device("cpu"))

    with Library(tmp_path / "store", folder, "model", 16) as library:
        library.update(by_model)
        catalogue = library.catalogue()
    samples = songs[1][8000 * 15 : 8000 * 27]
    query = np.concatenate(list(by_model([samples])))
    limits = Limits(min_score=0.9, min_margin=0.0)
    (row,) = identify(Recording("q", query, len(samples), 9000), catalogue, limits).to_dict("records")
    copies = {"1.wav", "1 (copy).wav", "best of.mp3", "edit.wav"}
    assert {row["song"], *row["copies"]} <= copies
    assert {row["song"], *row["copies"]} >= copies - {"best of.mp3"}  # an untrained model errs here
    assert row["runner_up"] not in copies

    def song_number(name: str) -> int:
        return list(catalogue.names).index(name)

    assert catalogue.are_copies(song_number("1.wav"), song_number("best of.mp3"))
    assert not catalogue.are_copies(song_number("1.wav"), song_number("2.wav"))


@pytest.mark.parametrize("index", [None, "l2"])
def test_a_song_that_repeats_itself_is_found(music, tmp_path, index):
    """All best places of a window are in it, or in it and its copy: the rival is another song."""
    loop, alone = np.tile(composed(5, 2), 60), np.tile(composed(6, 4), 30)
    for name, samples in (("loop.wav", loop), ("loop (copy).flac", loop), ("alone.wav", alone)):
        sf.write(music / name, samples, 8000)
    library = updated(music, tmp_path)
    catalogue, way = library.catalogue(), library.index(index, {}) if index else None
    for samples, songs in ((loop, {"loop.wav", "loop (copy).flac"}), (alone, {"alone.wav"})):
        (row,) = identify(heard(samples[80000:200000]), catalogue, Limits(), way).to_dict("records")
        assert {row["song"], *row["copies"]} == songs
        assert (row["from_s"], row["to_s"], row["score"]) == (0, 15, pytest.approx(1, abs=1e-3))
        assert row["runner_up"] in set(catalogue.names) - songs and 0.1 < row["margin"] < 2
    rivals = identify(heard(loop[80000:200000]), replace(catalogue, marks=None, _known={}), Limits(), way)
    assert rivals["song"].isna().all()  # if they are no copies, it could be either
    both = identify(heard(np.concatenate([loop[80000:160000], alone[80000:160000]])), catalogue, Limits(), way)
    assert both["song"].isin(["loop.wav", "loop (copy).flac"]).tolist() == [True, False]


def test_a_song_without_any_rival_is_found(tmp_path):
    (tmp_path / "music").mkdir()
    loop = np.tile(song(5, 2), 60)
    sf.write(tmp_path / "music/loop.wav", loop, 8000)
    (row,) = identify(heard(loop[:80000]), updated(tmp_path / "music", tmp_path).catalogue(), Limits()).to_dict(
        "records"
    )
    assert (row["song"], row["runner_up"], row["margin"]) == ("loop.wav", "", row["score"])


@pytest.mark.parametrize("hidden", [[], [0, 1, 2], range(20, 290), range(297), range(300)])
def test_rows_are_passed_over(hidden, monkeypatch):
    """However many they are, the nearest of the others are found, in any number of parts."""
    monkeypatch.setattr("nafp.identify.nearest.MAX_ROWS", 50)
    g = np.random.default_rng(0)
    x, query = (g.standard_normal((n, 8)).astype(np.float32) for n in (300, 17))
    shown = np.setdiff1d(np.arange(300), hidden)
    nearest = shown[np.argsort(-query @ x[shown].T, axis=1)[:, :5]]
    found = Without(Exact(Database(x, x[:0])), np.isin(np.arange(300), hidden)).nearest(query, 5)
    np.testing.assert_array_equal(found, np.pad(nearest, ((0, 0), (0, 5 - nearest.shape[1])), constant_values=-1))


def naively_crowded(
    found: pd.DataFrame, places: list[list[tuple[int, float]]], passed_over: dict, limits: Limits
) -> dict[int, set[int]]:
    """``crowded``, window by window and place by place: ``places`` are (song, score), the last 30 of the last search."""
    again = {}
    for window, before in passed_over.items():
        best = found.loc[window]
        if best["score"] < limits.min_score:
            continue
        crowd = {best["song"]} | best["copies"]
        if best["other"] == -1:
            crowd = {song for song, _ in places[window] if song != -1}
        least = best["score"] - max(0.1, limits.min_margin)
        close = [song for song, score in places[window][-30:] if score >= least and song in crowd]
        lowest = min(score for _, score in places[window] if score > -np.inf)
        unknown = best["other"] == -1 and best["score"] - lowest < limits.min_margin
        if (len(close) >= 10 or unknown) and any(song not in before for song in crowd):
            again[window] = crowd | before
    return again


@pytest.mark.parametrize("seed", range(40))
def test_which_windows_are_crowded(seed):
    """As one sees when one counts: for any places, scores, copies and earlier searches."""
    g = np.random.default_rng(seed)
    windows, searches, songs = 12, g.integers(1, 3), g.integers(1, 5)
    owner = np.where(g.random(20 * songs) < 0.1, -1, np.repeat(np.arange(songs), 20))
    place = g.integers(-1, 20 * songs, (windows, 30 * searches))
    place[g.random(place.shape) < g.choice([0, 0.8], (windows, 1))] = -1  # few places in some windows
    best = g.uniform(0.5, 1, (windows, 1))
    score = np.where(place >= 0, g.uniform(best - g.choice([0.04, 0.15, 0.5]), best, place.shape), -np.inf)
    catalogue = Catalogue(None, "abcd"[:songs], 20 * np.arange(songs), owner, marks=lambda song: None)
    catalogue._known.update({(a, b): (a, b) == (0, 1) for a in range(songs) for b in range(a + 1, songs)})
    limits = Limits(0.6, float(g.choice([0.05, 0.2])), 3)
    found = best_songs(place, score, 1, catalogue, limits)
    passed_over = {
        window: frozenset(g.permutation(songs)[: g.integers(songs + 1)].tolist()) for window in range(0, 12, 2)
    }
    heard = np.where(place >= 0, owner[place], -1)
    listed = [
        [(one if at > -np.inf else -1, at if one >= 0 else -np.inf) for one, at in zip(*row, strict=True)]
        for row in zip(heard.tolist(), score.tolist(), strict=True)
    ]
    assert crowded(found, place, score, passed_over, 1, catalogue, limits) == naively_crowded(
        found, listed, passed_over, limits
    )


def test_a_mix_is_no_bridge_between_its_songs():
    """Songs 0 and 1 are parts of song 2: in song 0, song 2 is named with it, and song 1 is a rival."""
    place = np.tile(np.array([[5, 45, 25, 65]]), (3, 1))
    score = np.tile(np.array([[0.9, 0.9, 0.8, 0.1]]), (3, 1))
    owner = np.repeat(np.arange(4), 20)
    catalogue = Catalogue(None, "abcd", 20 * np.arange(4), owner, marks=lambda song: None)
    catalogue._known.update({(0, 2): True, (1, 2): True, (0, 1): False, (0, 3): False, (1, 3): False, (2, 3): False})
    found = best_songs(place, score, 1, catalogue, Limits(0.5, 0.2))
    assert found["song"].tolist() == [0, 0, 0]
    assert found["copies"].tolist() == [frozenset({2})] * 3
    assert (found["other"].tolist(), found["runner_up"].tolist()) == ([1, 1, 1], [0.8, 0.8, 0.8])
    alone = best_songs(place, score, 1, replace(catalogue, marks=None, _known={}), Limits(0.5, 0.2))
    assert alone["runner_up"].tolist() == [0.9, 0.9, 0.9]


def test_a_recording_is_named_by_one_of_its_copies():
    """Now one of two copies scores better, now the other: it is one song."""
    place = np.array([[5, 25], [26, 6], [7, 27], [28, 8]])
    score = np.array([[0.9, 0.89], [0.9, 0.88], [0.9, 0.88], [0.9, 0.89]])
    catalogue = Catalogue(None, "ab", np.array([0, 20]), np.repeat([0, 1], 20), marks=lambda song: None)
    catalogue._known[0, 1] = True
    found = best_songs(place, score, 1, catalogue, Limits(0.5, 0.1)).assign(start=range(4))
    assert found["song"].nunique() == 1
    assert len(intervals(found.assign(runner_up=0.1), 1, Limits(0.5, 0.1))) == 1


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


@pytest.mark.parametrize("pause_s", [2.5, 4, 10])
def test_silence_is_no_song(music, tmp_path, pause_s):
    """Of two unknown songs with a pause between them, none is found; of a known one with a pause, nothing else is."""
    pause = np.zeros(int(8000 * pause_s), np.int16)
    sf.write(music / "0.wav", np.concatenate([song(0), np.zeros(8000 * 4, np.int16)]), 8000)
    catalogue = updated(music, tmp_path).catalogue()
    for first, last, name in ((song(77), song(78), None), (song(1)[:48000], song(1)[48000:], "1.wav")):
        sf.write(tmp_path / "q.wav", np.concatenate([first, pause, last]), 8000)
        found = identify(read_recording("q.wav", tmp_path / "q.wav", embed), catalogue, Limits())
        assert set(found["song"].replace(np.nan, None)) == {name}
    assert (found["offset_s"].min(), found["to_s"].max()) == (0, 12 + pause_s)


def dither(seconds: float, seed: int = 0) -> np.ndarray:
    """Triangular noise of at most one step of 16 bits: -90 dB of full scale."""
    steps = np.random.default_rng(seed).integers(0, 2, (2, int(8000 * seconds)))
    return (steps[0] - steps[1]).astype(np.int16)


QUIET = {"zero": lambda seconds: np.zeros(int(8000 * seconds), np.int16), "dither": dither}


def asked(tmp_path, library: Library, samples: np.ndarray) -> pd.DataFrame:
    sf.write(tmp_path / "q.wav", samples, 8000)
    return identify(read_recording("q.wav", tmp_path / "q.wav", embed), library.catalogue(), Limits())


@pytest.mark.parametrize("quiet", QUIET)
@pytest.mark.parametrize("others", [True, False])
def test_a_silent_song_is_never_found(music, tmp_path, capsys, quiet, others):
    """Neither by silence nor by sound that resembles it, also where no other song could be the answer."""
    for path in music.iterdir() if not others else ():
        path.unlink()
    sf.write(music / "rest.wav", QUIET[quiet](12), 8000)
    with open_library(music, tmp_path) as library:
        update(library, embed)
    note = "silence: nothing reaches -60 dB of full scale"
    assert f"rest.wav: {note}" in capsys.readouterr().err.splitlines()
    hum = np.full(8 * 8000, 500, np.int16)  # as digital silence is for the stand-in
    for samples, said in ((QUIET[quiet](8), note), (hum, "no match"), (np.concatenate([song(77, 8), hum]), "no match")):
        (row,) = asked(tmp_path, library, samples).to_dict("records")
        assert pd.isna(row["song"]) and row["note"].startswith(said) and "rest.wav" not in row["note"]
    if others:
        (row,) = asked(tmp_path, library, song(1)).to_dict("records")
        assert (row["song"], row["margin"]) == ("1.wav", pytest.approx(1, abs=0.5))


@pytest.mark.parametrize("quiet", QUIET)
def test_a_recording_that_is_half_silent(music, tmp_path, quiet):
    library = updated(music, tmp_path)
    part, pause = song(1)[24000:64000], QUIET[quiet](5)
    for samples, first in (([part, pause], 0), ([pause, part], 5)):
        (row,) = asked(tmp_path, library, np.concatenate(samples)).to_dict("records")
        assert (row["song"], row["from_s"]) == ("1.wav", pytest.approx(first, abs=0.5))
        assert row["to_s"] == pytest.approx(first + 5, abs=0.5)
        assert row["offset_s"] - row["from_s"] == 3 - first
    mostly = np.concatenate([QUIET[quiet](5), song(1)[24000:36000], QUIET[quiet](5)])
    (row,) = asked(tmp_path, library, mostly).to_dict("records")
    assert pd.isna(row["song"]) and row["note"] == "no match; most of it is silence"


def test_a_song_with_a_long_rest_is_found_on_both_sides_of_it(music, tmp_path):
    """The place of the second part too; the rest itself is like no other rest."""
    pause = np.zeros(8000 * 10, np.int16)
    sf.write(music / "rest.wav", np.concatenate([song(5), pause, song(6)]), 8000)
    sf.write(music / "other.wav", np.concatenate([song(7), pause, song(8)]), 8000)
    library = updated(music, tmp_path)
    assert library.songs.set_index("path")["silent"]["rest.wav"] == [[24, 43]]
    found = asked(tmp_path, library, np.concatenate([song(5)[40000:], pause, song(6)[:56000]]))
    assert set(found["song"]) == {"rest.wav"}
    assert (found["offset_s"] - found["from_s"]).tolist() == [5.0] * len(found)


def test_where_a_library_is_silent_stays_known(music, tmp_path):
    """When it is read again, compacted, and made by a version that did not note it."""
    sf.write(music / "rest.wav", np.concatenate([song(5), dither(6)]), 8000)

    def silent() -> list[int]:
        library = updated(music, tmp_path)
        rows = library.song_of_row() == library.songs["path"].tolist().index("rest.wav")
        return np.flatnonzero(library.silent_rows()[rows]).tolist()

    assert silent() == silent() == list(range(24, 35))
    for name in ("0.wav", "1.wav", "2.wav"):
        (music / name).unlink()
    assert silent() == list(range(24, 35)) and (tmp_path / "store/1").is_dir()
    table = tmp_path / "store/1/songs.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    write_lines(table, [{name: value for name, value in row.items() if name != "silent"} for row in rows])
    assert silent() == list(range(24, 35))


@pytest.mark.parametrize("flags, runs", [("", []), ("000", []), ("111", [[0, 3]]), ("0110100", [[1, 3], [4, 5]])])
def test_runs(flags, runs):
    assert runs_of(np.array([flag == "1" for flag in flags], bool)) == runs


@pytest.mark.parametrize("samples", [5000, 8000, 11_999, 12_000, 50_001])
@pytest.mark.parametrize("block", [1, 3000, 60_000])
def test_the_peaks_of_segments(samples, block):
    sound = np.random.default_rng(samples).integers(-32768, 32767, samples).astype(np.int16)
    sound[9000:22_000] = 0
    meter = BlockMeter([sound[at : at + block] for at in range(0, samples, block)])
    assert sum(map(len, meter)) == meter.samples == samples
    loud = np.abs(sound.astype(int))
    assert meter.peak == loud.max(initial=0)
    assert meter.peaks.tolist() == [
        loud[at : at + 8000].max(initial=0) for at in range(0, max(samples - 7999, 1), 4000)
    ]


def test_windows_that_disagree_are_different_intervals():
    found = pd.DataFrame({"start": range(8), "song": [0, 0, 0, 1, 1, 0, 0, 0], "score": 0.9, "runner_up": 0.1})
    found["place"] = found["start"] + [5, 5, 6, 40, 40, 5, 5, 90]
    parts = intervals(found, 2, Limits(windows=1))
    assert [part["start"].tolist() for part in parts] == [[0, 1, 2], [3, 4], [5, 6], [7]]
    assert [part["start"].tolist() for part in intervals(found, 2, Limits(windows=3))] == [[0, 1, 2]]
    weak = found.assign(score=[0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9, 0.9])
    assert [part["start"].tolist() for part in intervals(weak, 2, Limits(windows=1))][0] == [0, 1]
    assert len(intervals(found[:2], 2, Limits(windows=3))) == 1  # a short recording has no more windows
