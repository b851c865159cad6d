"""What scripts say, and what stays on disk when they fail."""

import subprocess
import sys
from pathlib import Path

import pytest
from tqdm import tqdm
from wavs import data_set

from nafp.console import tee_to_log
from nafp.errors import UserError
from nafp.files import atomic_write

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.mark.parametrize(
    "error, says",
    [
        (UserError("a.wav: 2 channels, expected 1"), "error: a.wav: 2 channels, expected 1\n"),
        (OSError(28, "No space left on device", "x.npy"), "error: x.npy: No space left on device\n"),
        (OSError("short read"), "error: short read\n"),
    ],
)
def test_an_error_the_user_can_mend_is_one_sentence(tmp_path, capsys, error, says):
    with pytest.raises(SystemExit) as stopped, tee_to_log(tmp_path / "log"):
        raise error
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (tmp_path / "log").read_text() == says


def test_a_defect_shows_its_traceback(tmp_path, capsys):
    with pytest.raises(SystemExit), tee_to_log(tmp_path / "log"):
        raise ZeroDivisionError("defect")
    assert "Traceback" in capsys.readouterr().err
    assert "ZeroDivisionError: defect" in (tmp_path / "log").read_text()


def test_progress_is_for_the_terminal_and_messages_for_both(tmp_path, capsys):
    with tee_to_log(tmp_path / "log"):
        for _ in tqdm(range(3), desc="working"):
            print("message")
    shown = capsys.readouterr()
    assert shown.out == "message\n" * 3
    assert "working" in shown.err
    log = (tmp_path / "log").read_text()
    assert log.count("message") == 3
    assert "3/3" not in log


def test_names_that_are_no_text_can_be_said(tmp_path):
    """On a terminal that shows ASCII alone."""
    program = f"""
from nafp.console import tee_to_log
with tee_to_log({str(tmp_path / "log")!r}):
    print("caf\\udce9 恋")
    raise OSError(2, "gone", "b\\udce9")
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, env={"PYTHONIOENCODING": "ascii", "PATH": ""})
    assert done.stdout == b"caf\\udce9 \\u604b\n"
    assert done.stderr == b"error: b\\udce9: gone\n"
    assert (tmp_path / "log").read_text("utf-8") == "caf\\udce9 恋\nerror: b\\udce9: gone\n"


def test_a_file_of_the_longest_name_is_whole_or_not_there(tmp_path):
    path = tmp_path / ("恋" * 85)
    with atomic_write(path) as part:
        part.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_is_whole_or_not_there(tmp_path):
    with atomic_write(tmp_path / "new/x") as part:
        part.write_text("whole")
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "new/x") as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in (tmp_path / "new").iterdir()] == [("x", "whole")]


def test_a_full_disk_names_the_file_and_a_reader_s_error_does_not(tmp_path):
    for error, name in ((OSError(28, "No space left on device"), str(tmp_path / "x")), (OSError(5, "I/O error"), None)):
        with pytest.raises(OSError) as raised, atomic_write(tmp_path / "x"):
            raise error
        assert raised.value.filename == name


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_while_packing(tmp_path):
    """The system refuses to let the array grow past 50 kB, as a full disk does: one sentence, nothing left."""
    data_set(tmp_path / "in")
    program = f"""
import resource, sys
from pathlib import Path
from nafp.console import tee_to_log
from nafp.datasets.manifest import make_manifest
from nafp.audio.packing import pack
root = Path({str(tmp_path / "in")!r})
manifest = make_manifest(root)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
with tee_to_log({str(tmp_path / "log")!r}):
    out = Path({str(tmp_path / "out")!r})
    pack(root, manifest[manifest["split"] == "train"], out / "a.npy", out / "a.csv")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"error: {tmp_path}/out/a.npy: File too large"
    assert list((tmp_path / "out").iterdir()) == []
