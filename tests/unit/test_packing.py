"""Packing: killed, continued, with little memory, and on a disk that fills up."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from archives import content_of, zipped
from kaggle_server import Remote, serving
from wavs import data_set, write

from nafp.audio import packing
from nafp.audio.packing import PackedLayout, pack
from nafp.audio.splits import Split
from nafp.datasets import download
from nafp.datasets.archive import unpack
from nafp.datasets.digests import Journal
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import make_manifest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def clips_of(root: Path, split: str = "train"):
    return make_manifest(root).query("split == @split")


def packed(root: Path, folder: Path, threads: int = 2) -> bytes:
    pack(root, clips_of(root), folder / "train.npy", folder / "train.csv", threads)
    assert sorted(path.name for path in folder.iterdir()) == ["train.csv", "train.npy"]
    return (folder / "train.npy").read_bytes() + (folder / "train.csv").read_bytes()


def program(body: str, *arguments: object) -> subprocess.CompletedProcess:
    """Run a few lines in a process of their own."""
    command = [sys.executable, "-c", body, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True)


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(packing, "GROUP_BYTES", 100_000)
    monkeypatch.setattr(packing, "BLOCK", 5000)


def test_groups_hold_every_clip_once(small_groups, tmp_path):
    root = data_set(tmp_path, clips=1)
    for i in range(30):
        write(root / SPLITS["train"] / f"r{i}.wav", seconds=float(np.random.default_rng(i).uniform(0.1, 20)))
    layout = PackedLayout.of(clips_of(root))
    groups = layout.groups()
    assert [i for group in groups for i in group] == list(range(31))
    assert 3 < len(groups) < 31


def test_the_table_keeps_the_checksums_of_the_manifest(tmp_path):
    root = data_set(tmp_path / "in", clips=2)
    clips = clips_of(root).assign(sha256=["aa", "bb"])
    pack(root, clips, tmp_path / "train.npy", tmp_path / "train.csv")
    split = Split.open(tmp_path / "train.npy")
    assert split.clips.columns.tolist() == ["path", "start", "samples", "sha256"]
    assert split.clips["sha256"].tolist() == ["aa", "bb"]


def test_threads_and_blocks_do_not_change_a_byte(small_groups, tmp_path, monkeypatch):
    root = data_set(tmp_path / "in", clips=9)
    many = packed(root, tmp_path / "many", threads=4)
    monkeypatch.undo()
    assert packed(root, tmp_path / "one", threads=1) == many


def test_a_system_that_writes_little_at_a_time_writes_all(tmp_path, monkeypatch):
    root, write_some = data_set(tmp_path / "in"), os.pwrite
    whole = packed(root, tmp_path / "whole")
    monkeypatch.setattr(packing.os, "pwrite", lambda file, data, at: write_some(file, bytes(data[:1001]), at))
    assert packed(root, tmp_path / "little") == whole


KILLED = """
import os, signal, sys
from pathlib import Path
from nafp.audio import packing
from nafp.datasets.manifest import make_manifest
packing.GROUP_BYTES = 100_000
done, add = [], packing.Progress.add
def counted(self, group):
    add(self, group)
    done.append(group)
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
packing.Progress.add = counted
root, out = Path(sys.argv[1]), Path(sys.argv[2])
packing.pack(root, make_manifest(root).query("split == 'train'"), out / "train.npy", out / "train.csv")
"""


def test_a_killed_packing_goes_on(small_groups, tmp_path, monkeypatch, capsys):
    root = data_set(tmp_path / "in", clips=20)
    whole = packed(root, tmp_path / "whole")
    out = tmp_path / "killed"
    assert program(KILLED, root, out).returncode == -signal.SIGKILL
    assert {path.name for path in out.iterdir()} == {"train.npy.part", "train.npy.part.progress"}
    with open(out / "train.npy.part.progress", "a") as progress:
        progress.write("1")  # torn
    copied, copy = [], packing.copy_clip
    monkeypatch.setattr(packing, "copy_clip", lambda path, *rest: copied.append(path) or copy(path, *rest))
    assert packed(root, out) == whole
    assert 0 < len(copied) < 20
    assert "3 of 10 parts are packed already" in capsys.readouterr().out


def test_another_split_does_not_go_on_with_it(small_groups, tmp_path):
    root = data_set(tmp_path / "in", clips=20)
    program(KILLED, root, tmp_path / "out")
    write(root / SPLITS["train"] / "007.wav", 3.0, seed=1234)
    table = clips_of(root)
    table["sha256"] = [str(i) for i in range(20)]  # as the manifest has it: contents are part of the plan
    pack(root, table, tmp_path / "out/train.npy", tmp_path / "out/train.csv")
    assert np.array_equal(np.load(tmp_path / "out/train.npy"), Split.read(root, SPLITS["train"]).audio)


MEASURED = """
import resource, sys
from pathlib import Path
import pandas as pd
from nafp.audio.packing import pack
root, out, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
clips = pd.DataFrame({"path": [f"{i}.wav" for i in range(count)], "samples": 480_000})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pack(root, clips, out / "a.npy", out / "a.csv", threads=2)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_memory_does_not_grow_with_the_split(tmp_path):
    """150 minutes of music, 144 MB packed, as hard links to one file."""
    first = write(tmp_path / "in/0.wav", seconds=60)
    for i in range(1, 150):
        os.link(first, tmp_path / f"in/{i}.wav")
    done = program(MEASURED, tmp_path / "in", tmp_path / "out", 150)
    assert (tmp_path / "out/a.npy").stat().st_size > 144_000_000, done.stderr
    assert int(done.stdout.split()[-1]) < 40  # MB


# ---------------------------------------------------------------- a full disk


@contextmanager
def small_disk(folder: Path, size: int):
    """A disk of so many bytes, in memory."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_packing_onto_a_disk_that_fills_up(tmp_path, monkeypatch):
    root = data_set(tmp_path / "in", clips=20)
    monkeypatch.setattr(packing, "check_free_space", lambda *_: None)  # somebody else writes in the meantime
    with small_disk(tmp_path / "disk", 500_000) as disk:
        with pytest.raises(OSError, match="No space left on device"):
            pack(root, clips_of(root), disk / "train.npy", disk / "train.csv")
        assert list(disk.iterdir()) == []


def test_a_download_onto_a_disk_that_fills_up_goes_on_elsewhere(tmp_path):
    content = np.random.default_rng(0).bytes(3_000_000)
    with serving(Remote(content)) as remote, small_disk(tmp_path / "disk", 2_000_000) as disk:
        with pytest.raises(OSError, match="No space left on device"):
            download.download(download.plain(remote.storage), disk / "a.zip", "it")
        assert not (disk / "a.zip").exists()
        for part in download.partial_files(disk / "a.zip"):
            shutil.move(part, tmp_path)
        download.download(download.plain(remote.storage), tmp_path / "a.zip", "it")
    assert (tmp_path / "a.zip").read_bytes() == content
    assert remote.asked[-1]["Range"] is not None


def test_unpacking_onto_a_disk_that_fills_up(tmp_path):
    files = {f"music/{i}.wav": np.random.default_rng(i).bytes(100_000) for i in range(10)}
    archive = zipped(tmp_path / "a.zip", files)
    with small_disk(tmp_path / "disk", 500_000) as disk:
        with pytest.raises(OSError, match="No space left on device"):
            unpack(archive, disk / "out", Journal(tmp_path / "files.tsv"), ("music",))
        assert all(content == files[name] for name, content in content_of(disk / "out").items())
        assert 0 < len(content_of(disk / "out")) < 10
