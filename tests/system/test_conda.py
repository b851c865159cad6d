"""The conda environments: each is solved by a real solver; one is made by Snakemake, and jobs run in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import channel
import pytest
import yaml
from rattler_conda import solve, write_conda
from wavs import data_set
from workflow import ROOT, copy_project, snakemake, tiny

pytest.importorskip("rattler", reason="py-rattler, the solver, is not installed: pip install py-rattler")
ENVIRONMENTS = [*sorted((ROOT / "envs").glob("*.yaml")), ROOT / "environment.yaml"]
PROGRAMS = {"chromaprint": ("1.5.1", "fpcalc")}  # package -> version and program of what conda-forge has besides Python


def specs_of(path: Path) -> list[str]:
    """What an environment file asks of conda itself."""
    return [spec for spec in yaml.safe_load(path.read_text())["dependencies"] if isinstance(spec, str)]


def movable_python(version: str) -> str:
    """A Python of this machine that has a folder of its own; skips the test where there is none."""
    program = shutil.which(f"python{version}") or ""
    ask = [program, "-c", "import sys; print(sys.base_prefix)"]
    found = subprocess.run(ask, capture_output=True, text=True).stdout.strip() if program else ""
    if found in ("", "/usr"):
        pytest.skip(f"no Python {version} that a package can be made of is installed")
    return program


@pytest.fixture(scope="module")
def forge(tmp_path_factory) -> Path:
    """A channel with the Python and the pip that the environments pin, and their programs."""
    folder = tmp_path_factory.mktemp("forge")
    pins = dict(spec.split("=") for spec in specs_of(ROOT / "environment.yaml"))
    channel.python_package(folder, movable_python(pins["python"]))
    wanted = ["download", "--quiet", "--no-deps", "--dest", folder, f"pip=={pins['pip']}"]
    if subprocess.run([sys.executable, "-m", "pip", *wanted], capture_output=True).returncode:
        pytest.skip("an index of Python packages cannot be reached")
    channel.pip_package(folder, next(folder.glob("pip-*.whl")))
    for name, (version, program) in PROGRAMS.items():
        channel.program_package(folder, name, version, program)
    channel.write_index(folder)
    return folder


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_can_be_solved(path, forge):
    records = {record.name.normalized: str(record.version) for record in solve(specs_of(path), forge)}
    assert records["python"].startswith("3.12.")
    assert records["pip"] == "25.3"
    assert {*records} == {spec.split("=")[0].rstrip(">") for spec in specs_of(path)}


def test_jobs_run_in_an_environment_that_snakemake_made(tmp_path, forge):
    """Sounds of one's own, checked and packed by the Python and the packages of envs/data.yaml."""
    folder = copy_project(tmp_path / "project")
    data_set(folder / "music")
    config = tiny(folder, dataset={"name": "mine", "root": "music"})
    programs = write_conda(tmp_path / "conda", forge)
    environment = {"PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
    target = "results/mine/data/packed/dummy.npy"
    done = snakemake(folder, target, "--sdm", "conda", config=config, environment=environment)
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.count("Creating conda environment") == 1
    assert (folder / target).exists()
    (made,) = (path.parent for path in (folder / ".snakemake/conda").glob("*/conda-meta"))
    assert {path.name.split("-")[0] for path in (made / "conda-meta").glob("*.json")} == {"python", "pip"}
    asked = [made / "bin/python", "-m", "pip", "freeze", "--all"]
    installed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.lower().replace("_", "-")
    pins = yaml.safe_load((ROOT / "envs/data.yaml").read_text())["dependencies"][-1]["pip"]
    assert {pin for pin in pins if " ;" not in pin} <= {*installed.split()}
