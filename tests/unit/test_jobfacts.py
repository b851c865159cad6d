"""What made a result: the commit of the workflow, whatever folder it is used from, and what it runs on."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nafp import jobfacts
from nafp.jobfacts import ROOT, code_version, device_name, job_facts


def git(folder: Path, *arguments: str) -> str:
    """A command of git by somebody with a name, whatever the user's own settings are."""
    name = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org")
    command = ["git", "-C", str(folder), *name, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A repository with the parts of the workflow that count, committed."""
    folder = tmp_path / "workflow"
    (folder / "scripts/nafp").mkdir(parents=True)
    (folder / "rules").mkdir()
    for name in ("Snakefile", "rules/a.smk", "scripts/a.py", "config.yaml"):
        (folder / name).write_text("one\n")
    for name in (".gitattributes", "scripts/nafp/archived.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--message=one")
    code_version.cache_clear()
    yield folder
    code_version.cache_clear()


def commit(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")[:12]


def test_the_commit_of_a_checkout(checkout):
    assert code_version(checkout) == {"commit": commit(checkout), "changed": False}


@pytest.mark.parametrize("name, changed", [("scripts/a.py", True), ("Snakefile", True), ("config.yaml", False)])
def test_code_that_was_changed(checkout, name, changed):
    (checkout / name).write_text("two\n")
    assert code_version(checkout)["changed"] is changed


def test_the_commit_of_the_workflow_not_of_the_users_folder(checkout, tmp_path):
    """As a module in a repository of the user's: a submodule has its own commit, a copy that is tracked the user's, and one
    that is not tracked none."""
    user = tmp_path / "user"
    user.mkdir()
    git(user, "init", "--initial-branch=main")
    (user / "Snakefile").write_text("module nafp: ...\n")
    git(user, "-c", "protocol.file.allow=always", "submodule", "add", str(checkout), "inside")
    git(user, "add", ".")
    git(user, "commit", "--message=mine")
    assert commit(user) != commit(checkout)
    assert code_version(user / "inside") == {"commit": commit(checkout), "changed": False}
    for name in ("tracked", "untracked"):
        (user / name).mkdir()
        (user / name / "Snakefile").write_text("one\n")
        git(user, "add", "tracked")
    git(user, "commit", "--message=copied")
    assert code_version(user / "tracked") == {"commit": commit(user), "changed": False}
    assert code_version(user / "untracked") == {"commit": "unknown", "changed": None}


def test_the_commit_where_there_is_no_git(checkout, tmp_path, monkeypatch):
    """As in a container: from the files of the checkout, of a worktree, and of one whose references are packed."""
    git(checkout, "worktree", "add", str(tmp_path / "worktree"))
    expected = {"commit": commit(checkout), "changed": None}
    monkeypatch.setattr(jobfacts, "git", lambda root, *arguments: (-1, ""))
    assert code_version(checkout) == expected
    assert code_version(tmp_path / "worktree") == expected
    git(checkout, "pack-refs", "--all")
    code_version.cache_clear()
    assert code_version(checkout) == expected
    git(checkout, "checkout", "--detach")
    code_version.cache_clear()
    assert code_version(checkout) == expected


def test_the_commit_of_an_archive(checkout, tmp_path):
    """What GitHub's "Download ZIP" is, too."""
    (tmp_path / "unpacked").mkdir()
    git(checkout, "archive", f"--output={tmp_path / 'a.tar'}", "HEAD")
    subprocess.run(["tar", "-xf", tmp_path / "a.tar", "-C", tmp_path / "unpacked"], check=True)
    assert code_version(tmp_path / "unpacked") == {"commit": commit(checkout), "changed": None}
    (tmp_path / "unpacked/scripts/nafp/archived.txt").write_text("$Format:%H$\n")  # a copy of the files
    code_version.cache_clear()
    assert code_version(tmp_path / "unpacked") == {"commit": "unknown", "changed": None}


def test_git_is_asked_once_a_job(monkeypatch):
    asked = []
    monkeypatch.setattr(jobfacts, "git", lambda root, *arguments: asked.append(arguments) or (0, "abc"))
    code_version.cache_clear()
    for _ in range(3):
        assert job_facts("CPU", 2)["commit"] == "abc"
    assert len(asked) == 3  # tracked, commit, changed
    code_version.cache_clear()


def test_facts_of_a_job():
    facts = job_facts("CPU", 2)
    assert facts["packages"]["numpy"] == np.__version__
    assert set(facts["packages"]) == {name for name in jobfacts.PACKAGES if name in sys.modules}
    assert (facts["device"], facts["threads"]) == ("CPU", 2)
    assert facts["date"].endswith("+00:00")


def test_the_version_of_a_package_that_does_not_say_it(monkeypatch):
    for name in ("pytest", "nobody"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    assert jobfacts.version_of("pytest") == pytest.__version__
    assert jobfacts.version_of("nobody") == "unknown"


def test_the_name_of_a_gpu(monkeypatch):
    assert device_name(None) == "CPU"
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(get_device_name="card {}".format)))
    assert device_name(3) == "card 3"
