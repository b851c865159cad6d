"""Devices, and what they compute in."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nafp import compute, jobfacts
from nafp.errors import UserError

CLAIM = """
import sys, torch
from types import SimpleNamespace
from nafp import compute
from nafp.errors import UserError
cards, count = int(sys.argv[2]), int(sys.argv[3])
torch.cuda.device_count = lambda: cards
torch.cuda.get_device_properties = lambda number: SimpleNamespace(uuid=f"test-{sys.argv[1]}-{number}")
try:
    numbers = compute.claim_gpus(count)
except UserError as error:
    numbers = error
print(numbers, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path):
    """Start jobs that claim some GPUs of a machine, and hold them until they are killed: the job, and what it says."""
    jobs = []

    def start_job(cards: int, count: int, folder: Path = tmp_path) -> tuple[subprocess.Popen, list[str]]:
        environment = os.environ | {"PYTHONPATH": str(Path(compute.__file__).parents[1]), "TMPDIR": str(folder)}
        command = [sys.executable, "-c", CLAIM, tmp_path.name, str(cards), str(count)]
        job = subprocess.Popen(command, env=environment, stdin=-1, stdout=-1, text=True)
        jobs.append(job)
        lines = []
        while not lines or not lines[-1].startswith(("[", "train.gpus")):
            lines.append(job.stdout.readline().strip())
        return job, lines

    yield start_job
    for job in jobs:
        job.kill()
        job.communicate()


def test_jobs_take_different_gpus_and_share_when_there_are_no_more(start):
    """Three jobs and two GPUs; the second GPU is free again when its job was killed."""
    started = [start(2, 1) for _ in range(3)]
    assert [said[-1] for _, said in started] == ["[0]", "[1]", "[0]"]
    assert started[2][1][0] == "GPU 0: shared with another job, since no other is free"
    started[1][0].kill()
    started[1][0].wait()
    assert start(2, 1)[1] == ["[1]"]


def test_the_processes_of_a_job_never_share_a_gpu(start):
    """Another job holds one of four: four processes get four, the held one last; three get the free ones."""
    start(4, 1)
    other, said = start(4, 4)
    assert said == ["GPU 0: shared with another job, since no other is free", "[1, 2, 3, 0]"]
    other.kill()
    other.wait()
    assert start(4, 3)[1] == ["[1, 2, 3]"]
    assert start(4, 5)[1] == ["train.gpus asks for 5 GPUs, but this machine has 4; lower it"]


def test_where_no_claim_can_be_written_a_gpu_is_used_without(start, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / f"nafp-{os.getuid()}-test-{tmp_path.name}-0.lock").mkdir()  # a folder where the file should be
    (first, *_), last = start(1, 1, blocked)[1], start(1, 1, blocked)[1][-1]
    assert first.endswith("Is a directory; GPU 0 is used without a claim on it")
    assert last == "[0]"


def test_a_process_of_several_uses_the_gpu_that_its_job_has_claimed(monkeypatch):
    used = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", used.append)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: [])
    monkeypatch.setenv(compute.GIVEN, "3,1,0")
    assert [compute.set_up(1, rank).index for rank in range(3)] == [3, 1, 0]
    assert [device.index for device in used] == [3, 1, 0]


@pytest.mark.parametrize(
    ("capability", "names", "runs"),
    [
        ((8, 6), "sm_75 sm_80 sm_90", True),  # code of an older one of the major version
        ((8, 0), "sm_75 sm_86", False),
        ((7, 0), "sm_75 sm_80", False),
        ((12, 0), "sm_75 sm_90", False),
        ((12, 0), "sm_90 compute_90", True),  # PTX is compiled for newer ones
        ((8, 9), "compute_90", False),
        ((9, 0), "sm_90a", True),
        ((10, 3), "sm_100a compute_100a", False),
        ((12, 1), "sm_120", True),
    ],
)
def test_code_that_a_gpu_runs(capability, names, runs):
    assert compute.runs_code(capability, names.split()) == runs


def test_a_gpu_that_pytorch_has_no_code_for_is_left_alone(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: pytest.fail("the GPU is used"))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    monkeypatch.setattr("nafp.compute.claim_gpus", lambda count: [1])
    assert compute.set_up(1, gpu=False).type == "cpu" and not capsys.readouterr().out
    assert compute.set_up(1).type == "cpu"
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(
        "computing on the CPU, which is slower: GPU 1 has compute capability 7.0, for which this PyTorch"
    )
    assert "(sm_75, sm_80); use another GPU" in said
    monkeypatch.setenv(compute.GIVEN, "0,1")
    with pytest.raises(UserError, match="GPU 1 has compute capability 7.0, .* or set train.gpus: 1"):
        compute.set_up(1, 1)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        (
            "The NVIDIA driver on your system is too old (found version 11040). Please",
            r"too old \(found version 11040\)\);",
        ),
        ("No CUDA GPUs are available", ""),  # hidden from this process
    ],
)
def test_a_gpu_whose_driver_does_not_work_is_left_alone(monkeypatch, capsys, tmp_path, reason, says):
    def fail() -> None:
        raise RuntimeError(reason)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", fail)
    monkeypatch.setattr(jobfacts, "DEVICES", tmp_path)
    monkeypatch.setattr(compute, "gpu_here", jobfacts.gpu_here.__wrapped__)  # looks each time
    (tmp_path / "nvidiactl").touch()
    assert compute.set_up(1).type == "cpu" and not capsys.readouterr().out
    (tmp_path / "nvidia0").touch()
    assert compute.set_up(1, gpu=False).type == "cpu" and not capsys.readouterr().out
    assert compute.set_up(1).type == "cpu"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == bool(says) and re.search(says, "".join(said))


def test_tensors_travel_together():
    """Of any shape and type, and back as they were; what comes back are views of the one buffer."""
    tensors = [torch.rand(3, 5), torch.arange(7), torch.tensor([True, False]), torch.zeros(0, 4), torch.tensor(2.5)]
    tensors.append(torch.rand(4, 1).expand(4, 6))
    packed = compute.pack(tensors)
    assert packed.dtype == torch.uint8 and packed.ndim == 1
    found = compute.unpack(packed, tensors)
    for ours, theirs in zip(found, tensors, strict=True):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert torch.equal(ours, theirs)
    packed.zero_()
    assert not found[0].any()
    assert compute.send(tensors, torch.device("cpu"))[0] is tensors[0]


@pytest.fixture
def compilers(monkeypatch):
    """A GPU of today, without a C compiler on PATH; the names of those that are to be there."""
    found = set()
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("nafp.compute.shutil.which", lambda name: name if name in found else None)
    monkeypatch.delenv("CC", raising=False)
    compute.can_compile.cache_clear()
    yield found
    compute.can_compile.cache_clear()


def test_kernels_run_only_where_they_can_be_compiled(compilers, monkeypatch, capsys, tmp_path):
    """Triton has a C compiler build a module at run time, which includes Python.h; what is missing is said once."""
    monkeypatch.setattr("nafp.compute.sysconfig.get_paths", lambda scheme: {"include": str(tmp_path)})
    gpu = torch.device("cuda")
    assert not compute.runs_kernels(gpu) and not compute.runs_kernels(gpu)
    (said,) = capsys.readouterr().out.splitlines()
    assert said.startswith(
        f"the GPU kernels need a C compiler (gcc or clang) and Python's headers ({tmp_path}/Python.h): "
    )
    assert "slower; install what is missing" in said
    (tmp_path / "Python.h").touch()
    for name in ("gcc", "clang"):
        compilers.clear()
        compilers.add(name)
        compute.can_compile.cache_clear()
        assert compute.runs_kernels(gpu)
    assert not capsys.readouterr().out
    monkeypatch.setenv("CC", "icx")  # Triton then takes no other
    compute.can_compile.cache_clear()
    assert not compute.runs_kernels(gpu)
    assert "a C compiler (icx):" in capsys.readouterr().out
    compute.can_compile.cache_clear()
    compilers.add("icx")
    assert compute.runs_kernels(gpu)


@pytest.mark.parametrize(("known", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_where_the_machine_has_it(monkeypatch, capsys, known, dtype):
    monkeypatch.setattr("nafp.compute.bfloat16_pays", lambda device: known)
    assert compute.precision("bfloat16", torch.device("cpu")) == dtype
    assert ("bfloat16 is no faster" in capsys.readouterr().out) == (not known)
    assert compute.precision("float32", torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(("supported", "seconds", "pays"), [(True, 0.5, True), (True, 0.9, False), (False, 0.1, False)])
def test_bfloat16_is_chosen_where_its_products_are_faster(monkeypatch, supported, seconds, pays):
    """Well faster: what noise decides would not be the same the next time."""
    monkeypatch.setattr("torch.ops.mkldnn._is_mkldnn_bf16_supported", lambda: supported)
    monkeypatch.setattr("nafp.compute._fastest_product", lambda a: seconds if a.dtype == torch.bfloat16 else 1.0)
    assert compute.bfloat16_pays(torch.device("cpu")) == pays
    assert compute.bfloat16_pays(torch.device("cuda"))
