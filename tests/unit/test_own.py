"""One's own music: decoded once, copies left out, every song in one split."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from denied import deny, drops_out
from scipy.signal import resample_poly
from sounds import coded

from nafp.audio.landmarks import landmarks, similar
from nafp.audio.open import open_audio, read_any
from nafp.audio.wav import read_wav
from nafp.datasets import digests, own
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import make_manifest
from nafp.datasets.verification import judge
from nafp.demo.band import render
from nafp.demo.song import plan_song
from nafp.errors import UserError
from nafp.walk import unescaped_path


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
    with pytest.raises(
        UserError, match="dataset.own.music: no usable files for test_db, val_db, dummy; 1 .*; give more"
    ):
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


@pytest.mark.parametrize("at_once", [7, 50, 301])
def test_landmarks_of_a_long_recording_are_found_piece_by_piece(songs, monkeypatch, at_once):
    song = (songs[0] * 32767).astype(np.int16)
    whole = landmarks(song)
    monkeypatch.setattr("nafp.audio.landmarks.AT_ONCE", at_once)
    pieces = landmarks(song)
    assert len(whole) > 100 and len(set(map(tuple, whole)) ^ set(map(tuple, pieces))) < 0.01 * len(whole)


@pytest.mark.parametrize("samples", [0, 100, 8000])
def test_silence_and_crumbs_have_no_landmarks(samples):
    marks = landmarks(np.zeros(samples, np.int16))
    assert marks.shape == (0, 2)
    assert similar([marks, marks]).empty


# ---------------------------------------------------------------- what people's folders hold


def row_of(table: pd.DataFrame, name: str) -> pd.Series:
    """The one row whose source ends so."""
    (row,) = [row for _, row in table.iterrows() if row["source"].endswith(name)]
    return row


def test_a_header_without_samples_is_named_and_ends_nothing(folders, tmp_path):
    sf.write(Path(folders["music"], "REC0001.wav"), np.zeros(0), 8000)
    table = imported(folders, tmp_path / "out")
    assert row_of(table, "REC0001.wav")["problem"] == "no samples"
    assert (table["problem"] != "").sum() == 1


def test_a_decoded_file_that_was_damaged_is_decoded_again(folders, tmp_path):
    first = imported(folders, tmp_path / "out")
    for number, row in enumerate(first.itertuples()):
        cached = own.decoded(tmp_path / "out/cache", row.sha256)
        cached.unlink()  # a hard link to the data set's file
        cached.write_bytes([b"", b"RIFF", b"RIFF\x24\0\0\0WAVE"][number % 3])
    again = imported(folders, tmp_path / "out")
    pd.testing.assert_frame_equal(first, again)
    assert (make_manifest(tmp_path / "out/corpus")["problem"] == "").all()


NAMES = [
    os.fsdecode(b"mod\xe0 - la notte.wav"),
    "two\nlines.WAV",
    "carriage\rreturn.wav",
    "next\x85line and\u2028separator.wav",
    "恋" * 83 + ".wav",
    '=1+1, "x".wav',
]


def test_songs_of_any_name(folders, tmp_path):
    odd = Path(folders["music"], os.fsdecode(b"alb\xfam\n2"))
    odd.mkdir()
    for path, name in zip(sorted(Path(folders["music"]).glob("album */*.*")), NAMES, strict=False):
        path.rename(odd / name)
    table = imported(folders, tmp_path / "out")
    assert (table["problem"] == "").all() and len(table) == 24
    table.to_csv(tmp_path / "imported.csv", index=False)
    assert len((tmp_path / "imported.csv").read_text("utf-8").splitlines()) == 25
    again = pd.read_csv(tmp_path / "imported.csv", keep_default_na=False)
    assert again["source"].tolist() == table["source"].tolist()
    sources = {unescaped_path(source) for source in again["source"]}
    assert {str(odd / name) for name in NAMES} <= sources and all(map(os.path.isfile, sources))
    checked = make_manifest(tmp_path / "out/corpus")
    assert (checked["problem"] == "").all() and sorted(checked["path"]) == sorted(table["path"])
    assert all(path.isprintable() and "\\" not in path for path in table["path"])


def test_linked_albums_are_used_and_links_to_nothing_are_listed(folders, songs, tmp_path):
    music, disk = Path(folders["music"]), tmp_path / "disk 2/album"
    as_file(
        disk / "a.wav", songs[0] * np.linspace(0.2, 1, len(songs[0])) + 0.01 * np.sin(np.arange(len(songs[0])) ** 1.5)
    )
    shutil.move(music / "album 1", tmp_path / "disk 2/album 1")
    (music / "linked").symlink_to(tmp_path / "disk 2")
    (music / "linked/round").symlink_to(music)
    (music / "gone.wav").symlink_to("/nowhere/gone.wav")
    (music / "self.mp3").symlink_to(music / "self.mp3")
    (music / "._song.wav").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4080))
    table = imported(folders, tmp_path / "out")
    linked = table[table["source"].str.contains("/linked/")]
    assert len(linked) == 5 and (linked["problem"].isin([""]) | linked["same_as"].ne("")).all()
    nowhere = "a link to a file that is not there"
    assert [row_of(table, name)["problem"] for name in ("gone.wav", "self.mp3")] == [nowhere] * 2
    assert row_of(table, "._song.wav")["problem"] == "cannot be read (it is a side file of macOS)"


def test_folders_that_cannot_be_read_are_listed(folders, tmp_path, monkeypatch):
    deny(monkeypatch, "scandir", Path(folders["music"], "album 1"))
    Path(folders["music"], "nas").symlink_to("/nowhere")
    table = imported(folders, tmp_path / "out")
    assert row_of(table, "album 1")["problem"] == "cannot be read (Permission denied)"
    assert row_of(table, "nas")["problem"] == "a link to a file that is not there"
    assert table["problem"].ne("").sum() == 2


def test_a_disk_that_drops_out_ends_the_import(folders, tmp_path, monkeypatch):
    """A data set without its songs would count as complete: while hashing, while decoding, and a whole folder."""
    broken, real, album = Path(folders["music"], "album 1/5b.flac"), open, Path(folders["music"], "album 2")

    def unread(place, *args, **kwargs):
        if Path(place) == broken:
            raise OSError(5, "Input/output error")
        return real(place, *args, **kwargs)

    says = "cannot be read .Input/output error.; run the same command again when it can be read, or move it"
    with monkeypatch.context() as patched, pytest.raises(UserError, match=f"5b.flac: {says}"):
        patched.setattr(digests, "open", unread, raising=False)
        imported(folders, tmp_path / "out")
    with monkeypatch.context() as patched, pytest.raises(UserError, match=f"5b.flac: {says}"):
        patched.setattr("nafp.audio.open.sounds", drops_out(broken, times=1))
        imported(folders, tmp_path / "out")
    with monkeypatch.context() as patched, pytest.raises(UserError, match=f"album 2: {says}"):
        deny(patched, "scandir", album, OSError(5, "Input/output error"))
        imported(folders, tmp_path / "out")
    assert imported(folders, tmp_path / "out")["problem"].eq("").all()


def test_formats_that_only_ffmpeg_reads(folders, songs, tmp_path):
    music = Path(folders["music"])
    for path in sorted(music.glob("*/*.*")):
        coded(path.with_suffix(".m4a"), resample_poly(read_any(path) / 32768, 441, 80), 44100, "ipod", "aac")
        path.unlink()
    (music / "x.amr").write_bytes(bytes(500))
    table = imported(folders, tmp_path / "out")
    made = table[table["source"].str.endswith(".m4a")]
    assert len(made) == 12 and (made["problem"] == "").all() and (made["split"] != "").all()
    assert row_of(table, "x.amr")["problem"].startswith("cannot be read (its format is not known")


def test_what_is_odd_about_a_file_is_said_each_time(folders, songs, tmp_path):
    music = Path(folders["music"])
    song = np.convolve(songs[0], [1, -0.9], "same")[::-1] * 0.5
    sf.write(music / "inverted.wav", np.stack([song, -song], axis=1), 8000)
    half = (music / "album 0/0a.wav").read_bytes()
    (music / "album 0/0a.wav").write_bytes(half[: len(half) // 2])
    for _ in range(2):  # decoded, and from the cache
        table = imported(folders, tmp_path / "out")
        assert row_of(table, "inverted.wav")["note"] == "the channels cancel each other out; the left one was taken"
        assert row_of(table, "0a.wav")["note"].endswith("seconds could be read")
        assert (table["note"] != "").sum() == 2 and (table["problem"] == "").all()


def test_silence_has_many_forms(folders, tmp_path):
    music, n = Path(folders["music"]), 3 * 44100
    sf.write(music / "offset.wav", np.full(n, 0.6), 44100)
    sf.write(music / "nothing.wav", np.zeros((n, 2)), 44100)
    sf.write(music / "soft.wav", 1e-3 * np.random.default_rng(3).normal(size=n), 44100, subtype="PCM_24")
    click = np.zeros(4000)
    click[5] = 0.9
    as_file(Path(folders["impulse_responses"], "room/click.wav"), click)
    table = imported(folders, tmp_path / "out")
    said = {name: row_of(table, name)["problem"] for name in ("offset.wav", "nothing.wav", "soft.wav", "click.wav")}
    assert said == {"offset.wav": "silent", "nothing.wav": "silent", "soft.wav": "", "click.wav": ""}
    assert row_of(table, "offset.wav")["split"] == ""


# ---------------------------------------------------------------- what is refused


def not_hashed(*_, **__):
    raise AssertionError("a wrong folder is to be noticed before")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda f, t: f | {"noise": str(t / "typo")}, "dataset.own.noise: .*typo is not a folder"),
        (
            lambda f, t: f | {"impulse_responses": str(t / "empty")},
            "dataset.own.impulse_responses: .*empty holds no audio",
        ),
        (
            lambda f, t: f | {"music": {"train": f["music"], "test": str(t / "empty")}},
            "own.music.test: .* holds no audio",
        ),
        (
            lambda f, t: f | {"noise": {"train": f["noise"], "test": f["noise"] + "/"}},
            "dataset.own.noise.test: .* is the folder of dataset.own.noise.train too",
        ),
    ],
)
def test_wrong_folders_are_noticed_first(folders, tmp_path, monkeypatch, change, says):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/readme.txt").write_text("nothing")
    monkeypatch.setattr(own, "digest_files", not_hashed)
    with pytest.raises(UserError, match=says):
        imported(change(folders, tmp_path), tmp_path / "out")


def test_sounds_that_cannot_be_used_are_noticed_before_the_music_is_read(folders, tmp_path, monkeypatch):
    """The table of what was left out is written before, with everything in it."""
    for path in Path(folders["noise"]).iterdir():
        path.write_bytes(b"<!DOCTYPE html><html>404</html>" if path.name > "2" else b"")
    digested, real = [], own.digest_files
    monkeypatch.setattr(own, "digest_files", lambda folder, *rest: digested.append(folder) or real(folder, *rest))
    report = tmp_path / "out/left_out.csv"
    with pytest.raises(UserError, match="dataset.own.noise: no usable files for bg_train, bg_test; 6 files") as refused:
        imported(folders, tmp_path / "out")
    assert digested == [Path(folders["noise"])]
    assert "0.wav: cannot be read (it is an empty file); " in str(refused.value)
    assert f"all are listed in {report}" in str(refused.value) and "\n" not in str(refused.value)
    listed = pd.read_csv(report, keep_default_na=False)
    assert len(listed) == 6 and listed["problem"].str.startswith("cannot be read (it is a").all()


def test_names_in_the_report_are_no_formulas(tmp_path):
    """The report is for people and their spreadsheets, and nothing reads it back."""
    row = dict.fromkeys(own.COLUMNS, "") | {"role": "noise", "source": "=cmd()/a.wav", "problem": "a link"}
    with pytest.raises(UserError):
        own.require("noise", pd.DataFrame([row]), tmp_path / "left_out.csv")
    assert pd.read_csv(tmp_path / "left_out.csv")["source"].tolist() == ["'=cmd()/a.wav"]


def test_one_file_that_cannot_be_opened_ends_nothing(folders, tmp_path, monkeypatch):
    locked = Path(folders["music"], "album 0/0a.wav")

    def refusing(path, *rest, **options):
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return open(path, *rest, **options)

    monkeypatch.setattr(digests, "open", refusing, raising=False)
    table = imported(folders, tmp_path / "out")
    assert row_of(table, "0a.wav")["problem"] == "cannot be read (Permission denied)"
    assert (table["problem"] != "").sum() == 1
