"""A method whose program is missing: studies do without it and say so, its finished cells stay, who asks for it is told."""

import shutil

import pytest
from fake_conda import fake_conda
from workflow import copy_project, planned, snakemake, tiny

CELL = "results/demo/scores/method=chromaprint/answers.json"
OTHERS = dict.fromkeys(("table3", "index_types", "song_level"))
WHY = "fpcalc is not installed; Debian has it in libchromaprint-tools, conda-forge in chromaprint"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The workflow on a machine without fpcalc, with a study of two methods."""
    programs = fake_conda(tmp_path)
    for name in ("bash", "sh", "which", "mkdir"):
        (programs / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(programs))
    folder = copy_project(tmp_path / "project")
    tiny(folder, studies={**OTHERS, "rivals": {"runs": [{}, {"method": "chromaprint"}]}})
    return folder


def test_a_study_does_without_it(project):
    done = snakemake(project, "rivals", "-n", config="changed.yaml")
    assert done.returncode == 0 and done.stdout.count(f"study rivals: method=chromaprint is left out: {WHY}\n") == 1
    jobs = planned(project, "rivals", config="changed.yaml")
    assert jobs["score"] == 1 and "answer" not in jobs
    cell = project / CELL
    cell.parent.mkdir(parents=True)
    cell.write_text("{}")
    cell.with_suffix(".hits.parquet").write_text("")
    done = snakemake(project, "rivals", "-n", config="changed.yaml")
    assert done.returncode == 0 and "left out" not in done.stdout and "letting chromaprint answer" in done.stdout


def test_who_asks_for_it_is_told(project):
    done = snakemake(project, CELL, "-n", config="changed.yaml")
    assert done.returncode != 0 and f"methods.chromaprint: {WHY}" in done.stdout
    alone = tiny(project, studies={"alone": {"method": "chromaprint"}})
    done = snakemake(project, "alone", "-n", config=alone)
    assert done.returncode != 0 and done.stdout.count(f"study alone: method=chromaprint is left out: {WHY}") == 2


def test_other_targets_do_without_a_study_that_cannot_work(project):
    alone = tiny(project, studies={**OTHERS, "alone": {"method": "chromaprint"}, "index_types": {"index": ["l2"]}})
    for target in ("data", "scores", "all"):
        done = snakemake(project, target, "-n", config=alone)
        assert done.returncode == 0, done.stdout
        assert done.stdout.count(f"study alone: method=chromaprint is left out: {WHY}\n") == 1


def test_the_baseline_is_a_cell_that_can_be_made(project):
    """Of a study that names its missing method as the baseline, the first of those that are left."""
    rivals = {"runs": [{"method": "chromaprint"}, {}], "baseline": {"method": "chromaprint"}}
    overlay = tiny(project, studies={**OTHERS, "rivals": rivals})
    done = snakemake(project, "rivals", "-n", config=overlay)
    assert done.returncode == 0, done.stdout


def test_jobs_that_bring_their_environment_have_it(project):
    done = snakemake(project, "rivals", "-n", "--sdm", "conda", config="changed.yaml")
    assert "left out" not in done.stdout
    assert planned(project, "rivals", "--sdm", "conda", config="changed.yaml")["answer"] == 1


def test_a_container_counts_where_jobs_run_in_it(project):
    """Without --sdm apptainer its name in the config changes nothing."""
    apptainer = project.parent / "bin/apptainer"
    apptainer.write_text("#!/bin/sh\necho apptainer version 1.4.0\n")
    apptainer.chmod(0o755)
    (project / "nafp.sif").touch()
    given = ("--config", "container=nafp.sif")
    done = snakemake(project, "rivals", "-n", *given, config="changed.yaml")
    assert done.stdout.count(f"study rivals: method=chromaprint is left out: {WHY}\n") == 1
    assert planned(project, "rivals", "--sdm", "apptainer", *given, config="changed.yaml")["answer"] == 1
