"""What a data set holds, whoever copied, linked or named its files: checksums, journals, manifests."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from wavs import data_set, write

from nafp.audio.packing import pack
from nafp.audio.splits import Split
from nafp.datasets.digests import Journal, digest_files
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import differences, make_manifest, read_manifest, with_digests
from nafp.datasets.obtain import sha256_of
from nafp.datasets.verification import judge, late_responses
from nafp.walk import unescaped_path

ODD_NAMES = [
    os.fsdecode(b"mod\xe0 - la notte.wav"),  # Latin-1
    "two\nlines.wav",
    "carriage\rreturn.wav",
    "next\x85line.wav",
    "line\u2028separator.wav",
    "tab\tand \\x41.wav",
    '"quoted", a.wav',
    "恋" * 83 + ".wav",  # 253 bytes
]


def manifest_of(root, journal):
    return with_digests(make_manifest(root, 1), digest_files(root, Journal(journal), 1))


def flip_a_byte(path):
    """As a disk does it: name, size and time of change stay."""
    stat = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def same_times(one, other):
    for path in one.rglob("*"):
        os.utime(other / path.relative_to(one), ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))


def test_a_second_copy_with_a_flipped_byte_does_not_pass(tmp_path):
    """The journal is of the first copy; the second has the same names, sizes and times."""
    first = data_set(tmp_path / "first")
    shutil.copytree(first, tmp_path / "second")
    flip_a_byte(tmp_path / "second" / SPLITS["train"] / "000.wav")
    same_times(first, tmp_path / "second")
    manifest_of(first, tmp_path / "j.tsv").to_csv(tmp_path / "good.csv", index=False)
    found = manifest_of(tmp_path / "second", tmp_path / "j.tsv")
    (problem,) = differences(found, tmp_path / "good.csv")
    assert problem.startswith(f"{SPLITS['train']}/000.wav: is not the file of")


def test_a_byte_flipped_in_place_does_not_pass(tmp_path):
    root = data_set(tmp_path / "set")
    manifest_of(root, tmp_path / "j.tsv").to_csv(tmp_path / "good.csv", index=False)
    flip_a_byte(root / SPLITS["dummy"] / "001.wav")
    (problem,) = differences(manifest_of(root, tmp_path / "j.tsv"), tmp_path / "good.csv")
    assert problem.startswith(f"{SPLITS['dummy']}/001.wav: ")


def test_a_moved_folder_is_there_but_read_again(tmp_path):
    """What was unpacked is not unpacked or downloaded again, but its checksums are computed again."""
    root = data_set(tmp_path / "set")
    digest_files(root, Journal(tmp_path / "j.tsv"), 1)
    moved = root.rename(tmp_path / "moved")
    journal = Journal(tmp_path / "j.tsv")
    assert journal.all_there(moved) and not journal.all_there(root)
    name = f"{SPLITS['train']}/000.wav"
    assert journal.unpacked(moved, name) and journal.known(moved, name) is None


OLD = "path\tbytes\tmtime_ns\tmd5\tsha256\n"


def test_a_journal_of_the_older_form_says_what_is_there(tmp_path):
    path = write(tmp_path / "set/a.wav")
    stat = path.stat()
    (tmp_path / "j.tsv").write_text(f"{OLD}a.wav\t{stat.st_size}\t{stat.st_mtime_ns}\t{'a' * 32}\t{'b' * 64}\n")
    journal = Journal(tmp_path / "j.tsv")
    assert journal.all_there(path.parent) and journal.known(path.parent, "a.wav") is None
    (sha256,) = digest_files(path.parent, journal, 1)["sha256"]
    assert sha256 != "b" * 64
    assert Journal(tmp_path / "j.tsv").known(path.parent, "a.wav").sha256 == sha256


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\0" * 4096,
        b"\xff\xfe not a table\n",
        f"{OLD}two\nlines.wav\t1\t2\t{'a' * 32}\t{'b' * 64}\n".encode(),
        f"{OLD}next\x85line.wav\t1\t2\t{'a' * 32}\t{'b' * 64}\n".encode(),
        f"{OLD}{'long' * 100}.wav\t1\t2\t{'a' * 32}\t{'b' * 64}\n".encode(),
        b"a\tb\n\t\t\t\t\n\n\n",
    ],
)
def test_a_poisoned_journal_heals(tmp_path, poison):
    write(tmp_path / "set/a.wav")
    (tmp_path / "j.tsv").write_bytes(poison)
    assert not Journal(tmp_path / "j.tsv").all_there(tmp_path / "set")
    first = digest_files(tmp_path / "set", Journal(tmp_path / "j.tsv"), 1)
    assert Journal(tmp_path / "j.tsv").known(tmp_path / "set", "a.wav").sha256 == first["sha256"].item()
    with open(tmp_path / "j.tsv", "ab") as file:
        file.write(b'"torn.wav"\t"/r')
    write(tmp_path / "set/b.wav", seed=1)
    digest_files(tmp_path / "set", Journal(tmp_path / "j.tsv"), 1)
    assert b"torn" not in (tmp_path / "j.tsv").read_bytes()
    assert len(Journal(tmp_path / "j.tsv")) >= 2


def test_names_of_any_bytes(tmp_path):
    """Through journal, manifest, packed table and messages; every file is found again by what the tables call it."""
    root = data_set(tmp_path / "set")
    for number, name in enumerate(ODD_NAMES):
        for split in ("train", "ir_train"):
            source = write(root / SPLITS[split] / "room/x.wav", seed=50 + number)
            source.rename(source.with_name(name))
    journal = tmp_path / "j.tsv"
    whole = manifest_of(root, journal)
    assert len(journal.read_text("ascii").splitlines()) == len(whole) + 1
    known = Journal(journal)
    assert all(known.known(root, unescaped_path(path)) for path in whole["path"])
    assert judge(whole, root, {}).fatal == [] and whole["sha256"].notna().all()
    late_responses(whole, root)
    whole.to_csv(tmp_path / "manifest.csv", index=False)
    assert len((tmp_path / "manifest.csv").read_text("utf-8").splitlines()) == len(whole) + 1
    again = read_manifest(tmp_path / "manifest.csv")
    assert again["path"].tolist() == whole["path"].tolist()
    assert differences(whole, tmp_path / "manifest.csv") == []
    clips = again[again["split"] == "train"]
    pack(root, clips, tmp_path / "train.npy", tmp_path / "train.csv")
    packed, read = Split.open(tmp_path / "train.npy"), Split.read(root, SPLITS["train"])
    pd.testing.assert_frame_equal(packed.clips[["path", "start", "samples"]], read.clips)
    np.testing.assert_array_equal(packed.audio, read.audio)
    assert {unescaped_path(path).rsplit("/", 1)[-1] for path in packed.clips["path"]} >= set(ODD_NAMES)


def test_linked_splits_have_checksums_and_a_correct_copy_passes(tmp_path):
    whole = data_set(tmp_path / "whole")
    manifest_of(whole, tmp_path / "w.tsv").to_csv(tmp_path / "good.csv", index=False)
    linked = tmp_path / "linked"
    for split, folder in SPLITS.items():
        (linked / folder).parent.mkdir(parents=True, exist_ok=True)
        if split == "dummy":  # a linked album within a split
            (linked / folder).mkdir()
            for path in (whole / folder).iterdir():
                (linked / folder / path.name).symlink_to(path)
            (tmp_path / "album").mkdir()
            (linked / folder / "album").symlink_to(tmp_path / "album")
            (linked / folder / "album/round").symlink_to(linked / folder)
        else:
            (linked / folder).symlink_to(whole / folder)
    found = manifest_of(linked, tmp_path / "l.tsv")
    assert found["sha256"].notna().all()
    assert differences(found, tmp_path / "good.csv") == []
    assert judge(found, linked, {}).fatal == []
    write(tmp_path / "album/more.wav", seed=7)
    more = manifest_of(linked, tmp_path / "l.tsv")
    assert len(more) == len(found) + 1 and more["sha256"].notna().all()
    clips = more[more["split"] == "dummy"]
    pack(linked, clips, tmp_path / "dummy.npy", tmp_path / "dummy.csv")
    assert len(Split.open(tmp_path / "dummy.npy").clips) == len(Split.read(linked, SPLITS["dummy"]).clips) == 3


def test_a_link_to_nothing_is_a_fault_of_a_data_set(tmp_path):
    root = data_set(tmp_path / "set")
    (root / SPLITS["train"] / "gone.wav").symlink_to("/nowhere/gone.wav")
    (problem,) = judge(make_manifest(root, 1), root, {}).fatal
    assert problem == f"{root / SPLITS['train'] / 'gone.wav'}: a link to a file that is not there"


def test_upper_case_suffixes_belong_to_a_data_set(tmp_path):
    root = data_set(tmp_path / "set", clips=3)
    (root / SPLITS["train"] / "001.wav").rename(root / SPLITS["train"] / "001.WAV")
    (root / SPLITS["dummy"] / "002.wav").rename(root / SPLITS["dummy"] / "002.Wav")
    found = manifest_of(root, tmp_path / "j.tsv")
    assert found["split"].value_counts().to_dict() == dict.fromkeys(SPLITS, 3)
    assert judge(found, root, {}).fatal == []
    assert Split.read(root, SPLITS["dummy"]).clips["path"].iloc[2].endswith("002.Wav")


def test_the_checksum_of_an_archive_is_of_this_file(tmp_path):
    """Another one of the same name, size and time of change in its place has another one."""
    archive = tmp_path / "a.zip"
    archive.write_bytes(bytes(1000))
    first = sha256_of(archive)
    flip_a_byte(archive)
    assert sha256_of(archive) != first
