"""Devices, and what they compute in."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nafp import compute

CLAIM = """
import sys, torch
from types import SimpleNamespace
from nafp import compute
torch.cuda.device_count = lambda: 2
torch.cuda.get_device_properties = lambda number: SimpleNamespace(uuid=f"test-{sys.argv[1]}-{number}")
print(compute.free_gpu(1), flush=True)
sys.stdin.read()
"""


def test_jobs_take_different_gpus_and_share_when_there_are_no_more(tmp_path):
    """Three processes and two GPUs; the second GPU is free again when its process was killed."""
    scripts = str(Path(compute.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": scripts, "TMPDIR": str(tmp_path)}

    def start() -> tuple[subprocess.Popen, int]:
        job = subprocess.Popen(
            [sys.executable, "-c", CLAIM, tmp_path.name], env=environment, stdin=-1, stdout=-1, text=True
        )
        return job, int(job.stdout.readline())

    jobs = [start() for _ in range(3)]
    assert [number for _, number in jobs] == [0, 1, 1]
    for job, _ in jobs[1:]:
        job.kill()
        job.wait()
    jobs.append(start())
    assert jobs[-1][1] == 1
    for job, _ in jobs:
        job.kill()
        job.communicate()


def test_a_job_that_asks_for_no_gpu_takes_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: pytest.fail("took a GPU"))
    assert compute.set_up(torch.get_num_threads(), gpu=False) == torch.device("cpu")


@pytest.mark.parametrize(("known", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_where_the_machine_has_it(monkeypatch, capsys, known, dtype):
    monkeypatch.setattr("nafp.compute.multiplies_bfloat16", lambda device: known)
    assert compute.precision("bfloat16", torch.device("cpu")) == dtype
    assert ("no bfloat16 arithmetic" in capsys.readouterr().out) == (not known)
    assert compute.precision("float32", torch.device("cpu")) == torch.float32
