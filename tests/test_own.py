"""One's own music: decoded once, copies left out, every song in one split."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from scipy.signal import resample_poly

from nafp.data import own
from nafp.data.audio import open_audio, read_any, read_wav
from nafp.data.landmarks import landmarks, similar
from nafp.data.layout import SPLITS
from nafp.data.manifest import make_manifest
from nafp.data.verification import judge
from nafp.demo.band import render
from nafp.demo.song import plan_song
from nafp.errors import UserError


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    """Twelve composed songs of ten seconds, as floats at 8 kHz."""
    generators = [np.random.default_rng(i) for i in range(12)]
    return [render(plan_song(rng), 10.0, rng) for rng in generators]


def as_mp3(path: Path, song: np.ndarray, skip: int = 1500, gain: float = 0.5) -> Path:
    """Another level, another beginning, another rate, stereo, lossy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x = gain * resample_poly(song[skip:], 441, 80)
    sf.write(path, np.stack([x, x], axis=1), 44100, format="MP3", subtype="MPEG_LAYER_III")
    return path


def as_file(path: Path, song: np.ndarray, rate: int = 8000, container: str = "WAV") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, song, rate, format=container)
    return path


@pytest.fixture
def folders(tmp_path, songs) -> dict:
    """Music of four kinds in one folder, noises, and impulse responses in two."""
    kinds = [("a.wav", "WAV"), ("b.flac", "FLAC"), ("c.ogg", "OGG"), ("d.mp3", "MP3")]
    for i, song in enumerate(songs):
        name, container = kinds[i % 4]
        as_file(tmp_path / f"music/album {i // 4}/{i}{name}", song, container=container)
    rng = np.random.default_rng(0)
    for i in range(6):
        as_file(tmp_path / f"noise/{i}.wav", rng.normal(0, 0.1, 44100 * 2), 44100)
        as_file(tmp_path / f"ir/room/{i}.wav", rng.normal(0, 0.2, 400) * np.exp(-np.arange(400) / 80))
    return {
        "music": str(tmp_path / "music"),
        "noise": str(tmp_path / "noise"),
        "impulse_responses": str(tmp_path / "ir"),
    }


def imported(options: dict, folder: Path) -> pd.DataFrame:
    return own.import_audio(options, folder / "corpus", folder / "cache", threads=2)


def test_any_audio_becomes_a_data_set(folders, tmp_path):
    table = imported(folders, tmp_path / "out")
    assert (table["problem"] == "").all()
    counts = table["split"].value_counts().to_dict()
    assert counts == {
        **{"train": 6, "val_db": 1, "test_db": 1, "dummy": 4},
        **{"bg_train": 4, "bg_test": 2, "ir_train": 4, "ir_test": 2},
    }
    checked = make_manifest(tmp_path / "out/corpus")
    assert (checked["problem"] == "").all()
    assert sorted(checked["path"]) == sorted(table["path"])
    for row in table.itertuples():
        np.testing.assert_array_equal(read_wav(tmp_path / "out/corpus" / row.path), read_any(Path(row.source)))
    for split in ("val_db", "test_db"):
        folder = SPLITS[split].replace("/db", "/query")
        shutil.copytree(tmp_path / "out/corpus" / SPLITS[split], tmp_path / "out/corpus" / folder)
    assert judge(make_manifest(tmp_path / "out/corpus"), tmp_path / "out/corpus", {}).fatal == []


def test_the_division_depends_on_the_sound_and_the_seed_alone(folders, tmp_path):
    first = imported(folders, tmp_path / "1")
    Path(folders["music"], "album 0").rename(Path(folders["music"], "another name"))
    renamed = imported(folders, tmp_path / "2")
    by_sound = [table.set_index("sha256")["split"].to_dict() for table in (first, renamed)]
    assert by_sound[0] == by_sound[1]
    other = imported(folders | {"seed": 1}, tmp_path / "3")
    assert other.set_index("sha256")["split"].to_dict() != by_sound[0]


def test_files_are_decoded_once(folders, tmp_path, monkeypatch):
    imported(folders, tmp_path / "out")
    moved = Path(folders["music"], "album 1/4a.wav")
    moved.rename(moved.with_name("moved.wav"))
    read = []
    monkeypatch.setattr(own, "open_audio", lambda path: read.append(path) or open_audio(path))
    table = imported(folders, tmp_path / "out")
    assert read == []
    assert any(source.endswith("moved.wav") for source in table["source"])


def test_copies_never_lie_on_both_sides(folders, songs, tmp_path):
    music = Path(folders["music"])
    shutil.copy(music / "album 0/0a.wav", music / "zz same bytes.wav")
    as_file(music / "zz same sound.flac", sf.read(music / "album 1/4a.wav")[0], container="FLAC")
    as_mp3(music / "zz same recording.mp3", songs[8])
    table = imported(folders, tmp_path / "out").set_index("source")
    for name, kept, why in [
        ("zz same bytes.wav", "album 0/0a.wav", "the same sound as"),
        ("zz same sound.flac", "album 1/4a.wav", "the same sound as"),
        ("zz same recording.mp3", "album 2/8a.wav", "the same recording"),
    ]:
        row = table.loc[str(music / name)]
        assert (row["path"], row["same_as"]) == ("", str(music / kept))
        assert row["problem"].startswith(why)
    assert (table["problem"] != "").sum() == 3


def test_a_test_song_is_not_trained(folders, songs, tmp_path):
    """With a folder for each split, the test songs stay and the copy in the training folder goes."""
    parts = {}
    for number, part in enumerate(("train", "val", "test", "dummy")):
        for i in range(3 * number, 3 * number + 3):
            as_file(tmp_path / part / f"{i}.wav", songs[i])
        parts[part] = str(tmp_path / part)
    as_mp3(tmp_path / "train/copy.mp3", songs[6])
    table = imported(folders | {"music": parts}, tmp_path / "out")
    assert table.loc[table["source"] == str(tmp_path / "train/copy.mp3"), "same_as"].item() == str(
        tmp_path / "test/6.wav"
    )
    assert table.loc[table["split"] == "test_db", "problem"].eq("").all()


def test_what_cannot_be_used_is_listed(folders, tmp_path):
    music = Path(folders["music"])
    (music / "broken.mp3").write_bytes(b"no music")
    as_file(music / "short.wav", np.ones(4000) * 0.1)
    as_file(music / "silent.wav", np.zeros(16000))
    (music / "cover.jpg").write_bytes(b"a picture")
    table = imported(folders, tmp_path / "out")
    problems = {Path(row.source).name: row.problem for row in table.itertuples() if row.problem}
    assert problems.keys() == {"broken.mp3", "short.wav", "silent.wav"}
    assert problems["broken.mp3"].startswith("cannot be read")
    assert (problems["short.wav"], problems["silent.wav"]) == ("shorter than 1 s", "silent")


def test_too_little_music_is_said(folders, tmp_path):
    shutil.rmtree(Path(folders["music"], "album 1"))
    shutil.rmtree(Path(folders["music"], "album 2"))
    for path in sorted(Path(folders["music"]).rglob("*.*"))[1:]:
        path.unlink()
    with pytest.raises(UserError, match="dataset.own.music: no usable files for test_db, val_db, dummy; 1 .*; give more"):
        imported(folders, tmp_path / "out")
    with pytest.raises(UserError, match="dataset.own.noise: .*nowhere is not a folder"):
        imported(folders | {"noise": str(tmp_path / "nowhere")}, tmp_path / "out")


def test_landmarks_tell_songs_apart_and_copies_together(songs, tmp_path):
    clean = [landmarks((song * 32767).astype(np.int16)) for song in songs]
    assert similar(clean).empty
    copies = [landmarks(read_any(as_mp3(tmp_path / f"{i}.mp3", song, 700 * i, 0.3))) for i, song in enumerate(songs)]
    found = similar(clean + copies)
    pairs = set(zip(found["first"], found["second"], strict=True))
    assert pairs == {(i, i + len(songs)) for i in range(len(songs))}
    assert (found["share"] > 0.1).all()


@pytest.mark.parametrize("samples", [0, 100, 8000])
def test_silence_and_crumbs_have_no_landmarks(samples):
    marks = landmarks(np.zeros(samples, np.int16))
    assert marks.shape == (0, 2)
    assert similar([marks, marks]).empty
