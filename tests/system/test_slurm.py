"""The SLURM profile: on a real one-node cluster, through failures; and what it asks sbatch for, with one that only listens."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from cluster import Cluster, missing
from workflow import FULL, ROOT, tiny

from nafp.search.vectors import open_vectors

TROUBLE = """
import os, sys, time

def first(name):
    try:
        os.close(os.open(os.path.join(os.environ["TROUBLE"], name), os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False

if sys.orig_argv[-1].endswith("pack.py") and first("pack"):
    sys.exit("one pack job fails, once")
if sys.orig_argv[-1].endswith("train.py"):
    fsync, saves = os.fsync, []
    def slow(descriptor):  # a training that takes its time for its second state, after weights, a state and weights
        saves.append(descriptor)
        if len(saves) == 4 and first("train"):
            time.sleep(600)
        fsync(descriptor)
    os.fsync = slow
"""
QUICK = (
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "2",
    "--latency-wait",
    "5",
)


def until(happened, what: str, process: subprocess.Popen, log: Path, seconds: float = 1200):
    """Wait until a function returns something true, and return it; fail if the process ends before."""
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert process.poll() is None, f"ended before {what}:\n{log.read_text()[-6000:]}"
        assert time.monotonic() < end, f"no {what}:\n{log.read_text()[-6000:]}"
        time.sleep(0.3)
    return found


@pytest.fixture
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="slurm"))  # the path of munge's socket must be short
    try:
        with Cluster(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@pytest.mark.skipif(bool(missing()), reason=f"needs Debian's slurm-wlm and munge, here lack {', '.join(missing())}")
def test_a_study_through_slurm_and_its_troubles(finished, cluster, tmp_path):
    """A job fails once, the controller restarts, a training is cancelled: the study is done, with the same weights.

    The finished experiment lacks a packed split and the training that needs it, so that all after them is made again.
    """
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    run = folder / "results/demo/runs" / FULL
    shutil.rmtree(run)
    (folder / "results/demo/data/packed/train.npy").unlink()
    study = {"aug": "full", "bsz": 16, "index": ["l2", "ivfpq"]}
    config = tiny(folder, studies={"table3": study, **dict.fromkeys(("ablation_augmentation", "index_types"))})
    (folder / "shards.yaml").write_text("fingerprint: {shards: {dummy: 3}}\n")
    (tmp_path / "sitecustomize.py").write_text(TROUBLE)
    one_thread = "--max-threads", "1"  # as in the finished experiment, so that weights have the same bytes
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", *one_thread, *QUICK]
    environment = cluster.environment | {"PYTHONPATH": str(tmp_path), "TROUBLE": str(tmp_path)}
    log = tmp_path / "log.txt"
    with open(log, "w") as out:
        work = subprocess.Popen(
            [*command, "--configfile", config, "shards.yaml", "--", "table3"],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:
        until(lambda: list(run.glob(".states/*/epoch=1_step=0.*.pt")), "a state of the training", work, log)
        cluster.stop("slurmctld")
        cluster.start_controller()
        (training,) = set(re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_train/", log.read_text()))
        assert training in cluster.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        cluster.ask("scancel", training)
        work.wait(1200)
    finally:
        work.kill()
    text = log.read_text()
    assert work.returncode == 0, text[-6000:]
    table = pd.read_csv(folder / "results/demo/scoreboard/table3.csv").query("source == 'this run'")
    assert set(table["index"]) == {"l2", "ivfpq"}

    failed = re.findall(r"SLURM-job '(\d+)' failed, SLURM status is: '(\w+)'", text)
    assert sorted(status for _, status in failed) == ["CANCELLED", "FAILED"]
    assert (training, "CANCELLED") in failed
    jobs = re.findall(r"SLURM jobid (\d+) \(log: \S*/rule_(\w+)/", text)
    assert len({number for number, _ in jobs}) == len(jobs)
    count = {name: [rule for _, rule in jobs].count(name) for _, name in jobs}
    assert count == {
        **{"pack": 2, "train": 2},  # one of each failed
        "fingerprint": 5,  # three shards and two splits
        **{"build_index": 2, "score": 2, "make_table": 1, "plot": 3},
    }
    assert "gathering the shards of dummy" in text

    assert "going on after epoch 1 of 2" in (folder / f"results/demo/logs/train/{FULL}.log").read_text()
    done = finished / "results/demo"
    for file in ("epoch=last.safetensors", "epoch=best.safetensors"):
        assert (run / file).read_bytes() == (done / "runs" / FULL / file).read_bytes()
    at = f"fingerprints/{FULL}/epoch=best"
    ours = open_vectors(folder / f"results/demo/{at}/dummy.json")
    np.testing.assert_array_equal(np.asarray(ours), open_vectors(done / at / "dummy.npy"))


# ---------------------------------------------------------------- many jobs, simulated


def test_a_rehearsal_with_few_places_loses_nothing():
    """More jobs are ready than may wait or run, and some fail or are preempted: all is made, by jobs that request their own."""
    folder = Path(tempfile.mkdtemp(prefix="few"))  # the path of a socket must be short
    command = [sys.executable, "benchmarks/rehearse_cluster.py", "--keep", str(folder / "kept"), "--hangs-after", "120"]
    size = ["--jobs", "60", "--indexes", "2", "--sleep", "0", "--check-every", "1", "--fail", "0.2"]
    try:
        done = subprocess.run(
            [*command, *size, "--", "--jobs", "7"],
            cwd=ROOT,
            env=os.environ | {"REHEARSAL_CHECK_S": "1"},
            capture_output=True,
            text=True,
            timeout=900,
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    rows = dict(re.findall(r"^\| (.+?) \| (.+) \|$", done.stdout, re.MULTILINE))
    assert rows["exit status"] == "0"
    assert rows["jobs finished, in s"].startswith("68 in ")
    assert rows["submissions at a time, at most"] == "7"
    assert rows["jobs without their files at the end"] == "0"
    assert rows["a last `-n` says"].startswith("nothing to do")
    assert all(ending in rows["failures injected"] for ending in ("refused", "NODE_FAIL", "PREEMPTED"))
    requests = {name.split(": ")[1]: request for name, request in rows.items() if name.startswith("requested by ")}
    assert not [jobs for jobs in requests if "+" in jobs]


# ---------------------------------------------------------------- what sbatch is asked for


@pytest.fixture
def asked(finished, tmp_path):
    """A function: a target and a config -> the call of sbatch for its first job, which is refused; at the last attempt."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    programs = tmp_path / "bin"
    programs.mkdir()
    does = {"sbatch": f'echo "$@" >> {tmp_path}/calls\nexit 1', "sinfo": 'echo "all*"'}
    for name in ("sbatch", "sinfo", "squeue", "scontrol", "sacct"):
        (programs / name).write_text(f"#!/bin/sh\n{does.get(name, 'exit 1')}\n")
        (programs / name).chmod(0o755)

    def call(target: str, retries: int = 0, **changes) -> str:
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm", "--retries", str(retries), *QUICK]
        done = subprocess.run(
            [*command, "--configfile", tiny(folder, **changes), "--", target],
            cwd=folder,
            env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode != 0
        assert (tmp_path / "calls").is_file(), done.stderr[-3000:]
        calls = (tmp_path / "calls").read_text().splitlines()
        assert len(calls) == 1 + retries
        (tmp_path / "calls").unlink()
        return calls[-1].split(" --wrap")[0]

    return call


def test_what_jobs_ask_for(asked):
    run = "aug=none_bsz=16_dim=16_loss=ntxent_recipe=base_seed=3"
    call = asked(f"results/demo/runs/{run}/epoch=last.safetensors", retries=1, train={"epochs": 2, "gpus": 4})
    assert "--gpus=4" in call
    assert "--nodes=1" in call
    assert "--requeue" in call
    assert "--cpus-per-task=32" in call
    assert f"--mem {2 * (8000 + 3 * 4000)} " in call  # twice, at the second attempt
    assert "-t 60 " in call  # not twice: it goes on where it was
    call = asked(f"results/demo/fingerprints/{FULL}/epoch=1/dummy.npy")
    assert "--gpus=1" in call
    assert "--mem 6000 " in call
    call = asked(f"results/demo/scores/{FULL}/epoch=best/sq8.json")
    assert "gpu" not in call
    assert "--mem 3000 " in call
