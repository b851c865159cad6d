"""Archives: malicious, damaged, interrupted, and good ones."""

import errno
import os
import signal
import stat
import subprocess
import sys
import tarfile
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from archives import content_of, tarred, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from nafp.datasets.archive import Member, paths_in_dataset, problems_of, unpack
from nafp.datasets.digests import Journal, digest_files
from nafp.errors import UserError

FILES = {
    f"neural-audio-fp-dataset/{name}": np.random.default_rng(i).bytes(5000 + i)
    for i, name in enumerate(("README.md", "music/a/1.wav", "music/a/2.wav", "aug/bg/tr/x y.wav", "aug/été.wav"))
}


def unpacked(archive: Path, folder: Path, **options) -> dict[str, bytes]:
    """What unpacking leaves in the folder: path -> content."""
    unpack(archive, folder, Journal(folder.with_name("files.tsv")), ("aug", "music"), **options)
    return content_of(folder)


EXPECTED = {name.removeprefix("neural-audio-fp-dataset/"): content for name, content in FILES.items()}


@pytest.mark.parametrize(
    "pack", [zipped, tarred, lambda path, files: tarred(path, files, mode="w:gz")], ids=["zip", "tar", "tar.gz"]
)
def test_an_archive_is_unpacked_without_its_top_folder(tmp_path, pack):
    assert unpacked(pack(tmp_path / "a", FILES), tmp_path / "out") == EXPECTED
    digests = digest_files(tmp_path / "out", Journal(tmp_path / "files.tsv"))
    assert dict(zip(digests["path"], digests["bytes"], strict=True)) == {n: len(c) for n, c in EXPECTED.items()}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "names",
    [
        ["./{path}"],  # tar -C folder .
        ["./top/{path}"],
        ["top/{path}", "__MACOSX/._top", "__MACOSX/top/{metadata}"],  # Compress in Finder
        ["./top/{path}", "./._top", "./top/{metadata}"],  # tar of macOS
    ],
)
def test_an_archive_is_unpacked_alike_whatever_packed_it(tmp_path, pack, names):
    files = {}
    for path, content in EXPECTED.items():
        name, *others = (one.format(path=path, metadata=Path(path).with_name(f"._{Path(path).name}")) for one in names)
        files |= {name: content, **dict.fromkeys(others, b"\x00\x05\x16\x07")}
    assert unpacked(pack(tmp_path / "a", files), tmp_path / "out") == EXPECTED


@pytest.mark.parametrize(
    "name, says",
    [
        ("../evil", "leads out of the folder"),
        ("music/../../evil", "leads out of the folder"),
        ("/tmp/evil", "is an absolute path"),
        ("C:/evil", "is an absolute path"),
        ("..\\evil", "has a character that a name should not have"),
        ("music/a\nb.wav", "has a character that a name should not have"),
        ("music/a\x1b[2Jb.wav", "has a character that a name should not have"),
        ("music//a.wav", "has an empty or too long part"),
        ("music/./a.wav", "has an empty or too long part"),
        ("music/" + "a" * 300, "has an empty or too long part"),
        ("MUSIC/A/1.wav", "is there 2 times"),
        ("music/a", "is a file and a folder"),
    ],
)
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_hostile_names_are_refused_and_nothing_is_written(tmp_path, pack, name, says):
    archive = pack(tmp_path / "a", {"music/a/1.wav": b"fine", name: b"evil"})
    with pytest.raises(UserError, match=f"will not be unpacked: .*{says}.*use source: folder"):
        unpacked(archive, tmp_path / "deep/out")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_names_of_other_scripts_are_ordinary(tmp_path):
    """An ideographic and a no-break space are not printable for Python, and in many names of songs."""
    files = {"music/\u66f2\u3000\u540d.wav": b"one", "music/a\u00a0b.wav": b"two"}
    assert unpacked(zipped(tmp_path / "a.zip", files), tmp_path / "out") == files


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"music/other.wav": b"other"}).read_bytes()
    files = {"music/1.wav": b"one", "music/2.zip": inner}
    assert unpacked(tarred(tmp_path / "a.tar", files), tmp_path / "out") == files


def test_what_the_disk_refuses_is_not_blamed_on_the_archive(tmp_path, monkeypatch):
    """As a file system does for names that it cannot hold."""
    archive = zipped(tmp_path / "a.zip", {"music/what?.wav": b"fine"})

    def refusing(path, *args):
        if str(path).endswith(".part"):
            raise OSError(errno.EINVAL, "Invalid argument", str(path))
        return open(path, *args)

    monkeypatch.setattr("nafp.datasets.archive.open", refusing, raising=False)
    with pytest.raises(OSError, match=r"Invalid argument: .*out/music/\.what\?\.wav\.part"):
        unpacked(archive, tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = tarred(tmp_path / "a.tar", {"music/1.wav": b"fine", "music/2.wav": b""}, {"music/2.wav": kind})
    with pytest.raises(UserError, match="'music/2.wav' is a link, a device or encrypted"):
        unpacked(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        link = zipfile.ZipInfo("music/1.wav")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="'music/1.wav' is a link"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


def test_more_than_expected_is_refused_before_anything_is_written(tmp_path):
    archive = zipped(tmp_path / "bomb.zip", {"music/1.wav": bytes(10_000_000)})
    assert archive.stat().st_size < 20_000
    with pytest.raises(UserError, match="declares 10,000,000 bytes, more than the 1,000,000 that are expected"):
        unpacked(archive, tmp_path / "out", limit=1_000_000)
    assert not (tmp_path / "out").exists()


def test_more_than_declared_is_cut_off(tmp_path):
    """A zip whose directory says 100 bytes, but whose member holds ten million."""
    archive = zipped(tmp_path / "bomb.zip", {"music/1.wav": bytes(10_000_000)})
    lie = archive.read_bytes().replace((10_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    archive.write_bytes(lie)
    with pytest.raises(UserError, match="music/1.wav"):
        unpacked(archive, tmp_path / "out")
    assert content_of(tmp_path / "out") == {}


@pytest.mark.parametrize("pack, at", [(zipped, 60), (tarred, None)])
def test_damage_is_noticed_and_named(tmp_path, pack, at):
    archive = pack(tmp_path / "a", FILES)
    content = bytearray(archive.read_bytes())
    if at is None:
        content = content[: len(content) // 2]  # a tar has no checksums of its content, but it ends too early
    else:
        at = content.index(b"music/a/1.wav") + 500
        content[at] ^= 0xFF
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match="delete the archive and get it again"):
        unpacked(archive, tmp_path / "out")
    assert not any("part" in name for name in content_of(tmp_path / "out"))


def packings() -> dict:
    """Every kind of archive that has checksums -> a function that writes one."""
    zips = {
        "stored": zipfile.ZIP_STORED,
        "deflate": zipfile.ZIP_DEFLATED,
        "bzip2": zipfile.ZIP_BZIP2,
        "lzma": zipfile.ZIP_LZMA,
    }
    made = {f"zip {name}": partial(zipped, compression=kind) for name, kind in zips.items()}
    return made | {f"tar {kind}": partial(tarred, mode=f"w:{kind}") for kind in ("gz", "bz2", "xz")}


@pytest.mark.parametrize("kind", packings())
def test_a_flipped_byte_anywhere_is_noticed(tmp_path, kind):
    """In the content, the headers or a checksum: a sentence, or all files are as they were (some bytes mean nothing)."""
    archive = packings()[kind](tmp_path / "a", FILES)
    good, noticed, random = archive.read_bytes(), 0, np.random.default_rng(0)
    places = [*random.choice(len(good), 60, replace=False), *range(len(good) - 12, len(good))]
    for number, at in enumerate(places):
        archive.write_bytes(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])
        try:
            found = unpacked(archive, tmp_path / f"{number}/out")
        except UserError as error:
            noticed += 1
            assert str(error).startswith((str(archive), *EXPECTED))
        else:
            assert sorted(found.values()) == sorted(EXPECTED.values()), at
    assert noticed > 60


@pytest.mark.parametrize("kind", packings())
def test_an_archive_that_ends_too_early_is_noticed(tmp_path, kind):
    archive = packings()[kind](tmp_path / "a", FILES)
    good = archive.read_bytes()
    for length in (len(good) - 1, len(good) - 6, len(good) // 2, 40):
        archive.write_bytes(good[:length])
        with pytest.raises(UserError, match="is not a whole zip or tar archive"):
            unpacked(archive, tmp_path / f"{length}/out")


def test_a_damaged_header_in_a_tar_does_not_hide_the_files_behind_it(tmp_path):
    archive = tarred(tmp_path / "a.tar", FILES)
    content = bytearray(archive.read_bytes())
    content[content.index(b"neural-audio-fp-dataset/music/a/2.wav") + 150] ^= 1
    archive.write_bytes(bytes(content))
    with pytest.raises(UserError, match="no more files can be found in it after 2, but it is not its end"):
        unpacked(archive, tmp_path / "out")


def test_a_way_of_packing_that_is_not_known_is_said(tmp_path):
    content = zipped(tmp_path / "a.zip", FILES).read_bytes()
    for header, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.index(header)
        content = content[: start + at] + (9).to_bytes(2, "little") + content[start + at + 2 :]  # Deflate64
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="cannot be unpacked here .*; unpack it with another program"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no zip", b"<html>log in</html>" * 100])
def test_what_is_no_archive_is_said_to_be_none(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match="is not a whole zip or tar archive"):
        unpacked(tmp_path / "a.zip", tmp_path / "out")


def test_room_is_asked_for_once_more_before_unpacking(tmp_path):
    def room(missing):
        assert missing == sum(map(len, FILES.values()))
        raise UserError("no room")

    with pytest.raises(UserError, match="no room"):
        unpacked(zipped(tmp_path / "a.zip", FILES), tmp_path / "out", check_room=room)
    assert not (tmp_path / "out").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from nafp.datasets import archive
from nafp.datasets.digests import Journal
written, block, write_member = [], archive.BLOCK, archive.write_member
archive.BLOCK = 1000
def counted(source, member, folder, path):
    written.append(path)
    if len(written) == 3:
        read = source.read
        def one_block(size):
            if source.tell():
                os.kill(os.getpid(), signal.SIGKILL)
            return read(size)
        source.read = one_block
    return write_member(source, member, folder, path)
archive.write_member = counted
archive.unpack(Path(sys.argv[1]), Path(sys.argv[2]), Journal(Path(sys.argv[2]).with_name("files.tsv")), ("aug", "music"))
"""


def test_a_killed_unpacking_goes_on(tmp_path, capsys):
    archive, out = zipped(tmp_path / "a.zip", FILES), tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "scripts")}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(archive), str(out)], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert len([name for name in content_of(out) if "part" not in name]) == 2
    with open(tmp_path / "files.tsv", "ab") as journal:
        journal.write(b"aug/torn.wav\t12")
    (out / "README.md").write_bytes(b"changed")
    assert unpacked(archive, out) == EXPECTED
    assert "1 of 5 files are unpacked already" in capsys.readouterr().out
    assert (tmp_path / "files.tsv").read_text().count("\n") == 1 + 2 + 4


names = st.text(st.sampled_from("ab./\\\n:\x00é"), max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(names, min_size=1, max_size=4))
def test_whatever_is_accepted_stays_inside(all_names):
    members = [Member(name, 1, True) for name in all_names]
    if not problems_of(members):
        for path in paths_in_dataset(members, ("aug", "music")):
            whole = os.path.normpath(os.path.join("/data/set", path))
            assert whole.startswith("/data/set/")
            assert whole == f"/data/set/{path}"
