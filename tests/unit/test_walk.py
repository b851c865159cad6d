"""nafp.walk: which files lie below a folder, and whether they have changed."""

import os

import pytest
from denied import deny

from nafp.errors import UserError, problem_of
from nafp.walk import escaped_path, files_below, folder_signature, is_audio, is_wav, unescaped_path


def names(root, wanted=is_audio):
    return [path.relative_to(root).as_posix() for path in files_below(root, wanted)]


@pytest.fixture
def music(tmp_path):
    (tmp_path / "music/album").mkdir(parents=True)
    for name in ("b.wav", "album/a.MP3", "album/cover.jpg"):
        (tmp_path / "music" / name).write_bytes(name.encode())
    return tmp_path / "music"


def test_links_are_followed_loops_and_dangling_links_are_not(music):
    elsewhere = music.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "c.flac").write_bytes(b"c")
    (music / "linked").symlink_to(elsewhere)
    (music / "album/up").symlink_to(music)
    (music / ".#notes.wav").symlink_to("nobody@nowhere")
    (music / "d.ogg").symlink_to(elsewhere / "c.flac")
    assert names(music) == ["album/a.MP3", "b.wav", "d.ogg", "linked/c.flac"]


def test_suffixes_in_any_case(music):
    (music / "C.WAV").write_bytes(b"c")
    (music / "d.Mp4").write_bytes(b"d")
    assert names(music) == ["C.WAV", "album/a.MP3", "b.wav", "d.Mp4"]
    assert names(music, is_wav) == ["C.WAV", "b.wav"]


def test_a_folder_that_is_not_there(tmp_path):
    assert (
        files_below(tmp_path / "none") == []
        and folder_signature(tmp_path / "none") is None
        and folder_signature(None) is None
    )


def replace_by_an_older_one(music):
    (music / "b.wav").write_bytes(b"B.wav")
    os.utime(music / "b.wav", (1, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda music: (music / "b.wav").rename(music / "e.wav"),
        lambda music: (music / "b.wav").unlink(),
        lambda music: (music / "album/e.wav").write_bytes(b"e"),
        replace_by_an_older_one,
    ],
    ids=["renamed", "removed", "added", "replaced"],
)
def test_every_change_of_an_audio_file_changes_the_state(music, change):
    before = folder_signature(music)
    assert folder_signature(music) == before
    change(music)
    assert folder_signature(music) != before


def test_other_files_and_dangling_links_do_not(music):
    before = folder_signature(music)
    (music / ".#notes.txt").symlink_to("nobody@nowhere")
    (music / "notes.txt").write_text("x")
    assert folder_signature(music) == before


def test_names_that_are_no_text(music):
    (music / os.fsdecode(b"caf\xe9.wav")).write_bytes(b"x")
    assert len(files_below(music, is_audio)) == 3 and folder_signature(music)


def test_links_that_lead_nowhere_can_be_listed(music):
    (music / "gone.wav").symlink_to("/nowhere/gone.wav")
    (music / "self.wav").symlink_to(music / "self.wav")
    assert names(music) == ["album/a.MP3", "b.wav"]
    listed = [path.name for path in files_below(music, is_audio, dangling=True)]
    assert listed == ["a.MP3", "b.wav", "gone.wav", "self.wav"]
    assert folder_signature(music)


def test_what_cannot_be_read_is_told(music, monkeypatch):
    (music / "nas").symlink_to("/nowhere/music")
    (music / "gone.wav").symlink_to("/nowhere/gone.wav")
    (music / "locked.mp3").write_bytes(b"x")
    for name, refused in (("scandir", "album"), ("stat", "locked.mp3")):
        deny(monkeypatch, name, music / refused)
    unreadable: dict[str, UserError] = {}
    assert [path.name for path in files_below(music, is_audio, unreadable=unreadable)] == ["b.wav"]
    denied, nowhere = "cannot be read (Permission denied)", "a link to a file that is not there"
    assert {os.path.relpath(path, music): problem_of(why, path) for path, why in unreadable.items()} == {
        **{"album": denied, "locked.mp3": denied},
        **{"nas": nowhere, "gone.wav": nowhere},
    }


@pytest.mark.parametrize(
    "name, text",
    [
        ("恋.wav", "恋.wav"),
        ("a\\b.wav", "a\\b.wav"),
        (os.fsdecode(b"caf\xe9.wav"), "caf\\xe9.wav"),
        ("a\nb\r\x85\u2028\u2029.wav", "a\\x0ab\\x0d\\u0085\\u2028\\u2029.wav"),
        ("\x85 and " + os.fsdecode(b"\x85"), "\\u0085 and \\x85"),
        ("\\x41\\\\u0041", "\\x5cx41\\\\x5cu0041"),
    ],
)
def test_a_path_is_text_and_a_path_again(name, text):
    assert escaped_path(name) == text
    assert unescaped_path(text) == name
    assert text.encode() and len(text.splitlines()) == 1
