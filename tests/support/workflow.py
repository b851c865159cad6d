"""The real workflow in a folder of its own: copied, run, planned, edited. The fixtures are taken up by conftest.py."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from forked import forked_snakemake

ROOT = Path(__file__).parents[2]
LIMIT_S = 1800  # of a run of Snakemake; a busy machine takes ten times as long as an idle one
PARTS = ("Snakefile", "config.yaml", "rules", "scripts", "schemas", "envs", "published", "profiles", "report")
FULL, NONE = (f"aug={aug}_bsz=16_dim=16_loss=ntxent_recipe=base_seed=0" for aug in ("full", "none"))


def copy_project(folder: Path) -> Path:
    """The workflow without results, so that a test may edit it."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)
    shutil.copy2(ROOT / "tests/support/tiny.yaml", folder / "tiny.yaml")
    return folder


def snakemake(
    folder: Path, *arguments: str, config: str = "tiny.yaml", environment: dict | None = None, **options
) -> subprocess.CompletedProcess:
    """Run Snakemake in a copy of the project, with one or more config files; stdout and stderr together."""
    configured = (*arguments, "--cores", "2", "--configfile", *config.split())
    return run_snakemake(folder, *configured, environment=environment, **options)


def run_snakemake(
    folder: Path, *arguments: str, environment: dict | None = None, **options
) -> subprocess.CompletedProcess:
    """Run Snakemake in any folder; stdout and stderr together.

    With an ``environment`` of its own it is a new process (``options`` of subprocess), since some variables count while Python
    starts.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SNAKEMAKE")}
    with tempfile.NamedTemporaryFile() as output:
        if environment is None:
            status = forked_snakemake([*arguments], folder, clean, Path(output.name), timeout=LIMIT_S)
        else:
            command = [sys.executable, "-m", "snakemake", *arguments]
            status = subprocess.run(
                command,
                cwd=folder,
                env=clean | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_S,
                **options,
            ).returncode
        said = Path(output.name).read_text(encoding="utf-8", errors="replace")
    return subprocess.CompletedProcess(arguments, status, said)


def planned(folder: Path, *arguments: str, **options) -> dict[str, int]:
    """Rule -> number of jobs that Snakemake would run."""
    output = snakemake(folder, *arguments, "-n", "--quiet", "rules", **options).stdout
    if "Job stats:" not in output:
        assert "Nothing to be done" in output, output
        return {}
    assert "InputFunctionException" not in output, output  # rules whose pattern also matches another's output
    table = output.split("Job stats:")[1].split("\n\n")[0].splitlines()[3:]
    jobs = {line.split()[0]: int(line.split()[1]) for line in table if len(line.split()) == 2}
    return {rule: count for rule, count in jobs.items() if rule not in ("total", "all")}


def run_tiny(folder: Path) -> Path:
    """The tiny experiment, run to its end in a new folder."""
    done = snakemake(copy_project(folder))
    assert done.returncode == 0, done.stdout[-6000:]
    assert "scoreboard/index.html" in done.stdout
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The finished tiny experiment. Tests must leave it as it is. Of several processes of tests one runs it, each has a copy."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return run_tiny(folder)
    shared = tmp_path_factory.getbasetemp().parent  # folder of all processes of a pytest run
    with open(shared / "finished.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "finished").exists():
            run_tiny(Path(tempfile.mkdtemp(dir=shared)) / "project").rename(shared / "finished")
    shutil.copytree(shared / "finished", folder)  # keeps the times
    return folder


@pytest.fixture
def edited(finished):
    """The finished experiment, and a function that edits one of its files until the test ends."""
    saved = {}

    def edit(name: str, old: str, new: str) -> None:
        path = finished / name
        saved.setdefault(path, (path.read_bytes(), path.stat()))
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    yield finished, edit
    for path, (content, stat) in saved.items():
        path.write_bytes(content)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def tiny(folder: Path, **changes) -> str:
    """A config like tiny.yaml with some sections replaced; returns its name."""
    config = yaml.safe_load((ROOT / "tests/support/tiny.yaml").read_text()) | changes
    (folder / "changed.yaml").write_text(yaml.safe_dump(config))
    return "changed.yaml"
