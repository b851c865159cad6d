"""Finding, checking and packing a data set."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from denied import deny
from wavs import data_set, write

from nafp import disk as space
from nafp.audio import packing
from nafp.audio.packing import pack
from nafp.audio.segments import count_segments
from nafp.audio.splits import Split
from nafp.audio.wav import check_wav
from nafp.datasets.job import Wanted, verify
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import make_manifest
from nafp.datasets.verification import bad_files, broken_pairs
from nafp.errors import UserError


def problems_of(root):
    manifest = make_manifest(root)
    return bad_files(manifest, root) + broken_pairs(manifest, root)


def test_a_good_data_set_has_no_problems(tmp_path):
    root = data_set(tmp_path)
    manifest = make_manifest(root)
    assert problems_of(root) == []
    assert set(manifest["split"]) == set(SPLITS)
    assert (manifest["seconds"] == 3).all()


def truncate(path):
    path.write_bytes(path.read_bytes()[:-2000])


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda p: write(p, channels=2), "2 channels, expected 1"),
        (lambda p: write(p, rate=44100), "44100 Hz, expected 8000 Hz"),
        (lambda p: write(p, subtype="PCM_24"), "PCM_24 samples, expected 16-bit PCM"),
        (lambda p: write(p, seconds=0), "no samples"),
        (lambda p: p.write_bytes(b""), "empty file"),
        (lambda p: p.write_bytes(b"not a WAV file at all"), "unreadable"),
        (truncate, "truncated: the header declares 24000 samples, the file holds 23000"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path, spoil, says):
    path = data_set(tmp_path) / SPLITS["train"] / "001.wav"
    spoil(path)
    (problem,) = problems_of(tmp_path)
    assert str(path) in problem
    assert says in problem


def test_every_problem_is_listed(tmp_path):
    root = data_set(tmp_path)
    for split, name in (("train", "000.wav"), ("dummy", "001.wav"), ("bg_train", "000.wav")):
        write(root / SPLITS[split] / name, rate=16000, channels=2)
    for path in (root / SPLITS["val_db"]).iterdir():
        path.unlink()
    write(root / SPLITS["test_query"] / "001.wav", seconds=2.5)
    (root / SPLITS["test_db"] / "000.wav").unlink()
    problems = problems_of(root)
    assert sum("16000 Hz" in p and "2 channels" in p for p in problems) == 3
    assert sum("no WAV files (split 'val_db')" in p for p in problems) == 1
    assert sum("20000 samples, but its song has 24000" in p for p in problems) == 1
    assert sum("has no counterpart" in p for p in problems) == 1
    assert len(problems) == 6


@pytest.mark.parametrize("samples, segments", [(1, 1), (8000, 1), (11999, 1), (12000, 2), (240000, 59)])
def test_count_segments(samples, segments):
    assert count_segments([samples]).tolist() == [segments]


def packed(root, split, folder):
    manifest = make_manifest(root)
    clips = manifest[manifest["split"] == split]
    pack(root, clips, folder / f"{split}.npy", folder / f"{split}.csv")
    return Split.open(folder / f"{split}.npy")


def test_packed_clips_are_the_files(tmp_path):
    root = data_set(tmp_path / "in")
    write(root / SPLITS["train"] / "short.wav", seconds=0.25)
    split = packed(root, "train", tmp_path / "out")
    for clip in split.clips.itertuples():
        samples = split.audio[clip.start : clip.start + clip.samples]
        np.testing.assert_array_equal(samples, sf.read(root / clip.path, dtype="int16")[0])
    assert split.clips["samples"].tolist() == [24000, 24000, 2000]
    assert len(split.audio) == 24000 + 24000 + 8000  # the short clip fills a segment
    assert not split.audio[50000:].any()
    assert len(split.segments) == 5 + 5 + 1
    assert split.segments.start.tolist() == [*range(0, 16001, 4000), *range(24000, 40001, 4000), 48000]


def test_packing_equals_reading(tmp_path):
    root = data_set(tmp_path / "in")
    a, b = packed(root, "bg_train", tmp_path / "out"), Split.read(root, SPLITS["bg_train"])
    np.testing.assert_array_equal(a.audio, b.audio)
    pd.testing.assert_frame_equal(a.clips, b.clips)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    root = data_set(tmp_path / "in")

    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(packing, "copy_clip", full)
    with pytest.raises(OSError, match="No space left"):
        packed(root, "train", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_too_little_space_is_said_before_anything_is_written(tmp_path, monkeypatch):
    root = data_set(tmp_path / "in")
    monkeypatch.setattr(space.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"packing train.npy needs 0.00 GB, but only 0.00 GB are free"):
        packed(root, "train", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_changed_since_the_check_is_refused(tmp_path):
    root = data_set(tmp_path / "in")
    manifest = make_manifest(root)
    write(root / SPLITS["train"] / "000.wav", seconds=1)
    with pytest.raises(UserError, match="changed since it was checked"):
        pack(root, manifest[manifest["split"] == "train"], tmp_path / "a.npy", tmp_path / "a.csv")


def test_reading_never_changes_the_file(tmp_path):
    root = data_set(tmp_path / "in")
    split = packed(root, "train", tmp_path / "out")
    before = (tmp_path / "out/train.npy").read_bytes()
    split.audio[:] = 0
    assert (tmp_path / "out/train.npy").read_bytes() == before


def test_extensible_headers_are_read(tmp_path):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros(9000), 8000, subtype="PCM_16", format="WAVEX")
    assert check_wav(path).problem == ""
    assert check_wav(path).samples == 9000


def test_folders_that_cannot_be_read_are_problems(tmp_path, monkeypatch, capsys):
    """In a split the data set is refused; beside the splits a warning says that they are not part of the checksum."""
    root = data_set(tmp_path / "set", clips=1, seconds=1)
    verify(root, Wanted(), tmp_path / "manifest.csv", tmp_path / "report.json", None, 1)
    locked, beside = root / SPLITS["train"] / "locked", root / "notes"
    for folder in (locked, beside):
        folder.mkdir()
        deny(monkeypatch, "scandir", folder)
    verify(root, Wanted(strict=False), tmp_path / "manifest.csv", tmp_path / "report.json", None, 1)
    assert f"warning: {beside}: cannot be read (Permission denied)" in capsys.readouterr().out.splitlines()
    (root / SPLITS["dummy"] / "unmounted").symlink_to(tmp_path / "none")
    problems = bad_files(make_manifest(root), root)
    assert problems == [
        f"{locked}: cannot be read (Permission denied)",
        f"{root / SPLITS['dummy'] / 'unmounted'}: a link to a file that is not there",
    ]
    (root / SPLITS["dummy"]).rename(tmp_path / "aside")
    assert len(bad_files(make_manifest(root), root)) == 1
    (root / SPLITS["dummy"]).symlink_to(tmp_path / "none")
    with pytest.raises(UserError, match=f"{SPLITS['dummy']}: cannot be read .No such file or directory."):
        verify(root, Wanted(), tmp_path / "manifest.csv", tmp_path / "report.json", None, 1)
