"""Settings of the process that computes: device, threads, memory allocator."""

import ctypes
import fcntl
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from math import prod
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from nafp.errors import UserError
from nafp.jobfacts import gpu_here

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt, by malloc.h
CLAIMS: list[IO] = []  # open files whose locks are this process's GPUs
GIVEN = "NAFP_GPUS"  # environment variable: the GPUs that a job of several processes has claimed for them
ALIGNMENT = 16  # bytes, of a tensor among others in one buffer
BFLOAT16_PAYS = 1.3  # times as fast as float32, far from what machines do that were measured: 0.05, 0.6; 2.5, 3.8
OLDEST_GPU = (8, 0)  # compute capability that Triton's kernels are used from


def set_up(threads: int, rank: int = 0, tf32: bool = False, gpu: bool = True, keep_memory: bool = True) -> torch.device:
    """Use ``threads`` CPU threads and keep freed memory for the next batch; returns the device to compute on.

    That is a GPU if there is one and ``gpu`` is true: the ``rank``-th of those assigned to the job, otherwise one that is
    claimed here. If PyTorch cannot use it, a line says why and it is the CPU; UserError where it was assigned to one of several
    processes. ``tf32`` lets it round the factors of float32 products to 10 bits, which is faster.

    glibc returns every large tensor to the system as soon as it is freed and asks for zeroed pages for the next one.
    Keeping them makes a training step of the demo model more than twice as fast on a CPU. A job that sees arrays of a
    thousand sizes turns it off (``keep_memory``): they break up the heap, which then grows with each of them.
    """
    torch.set_num_threads(threads)
    if keep_memory and sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    if not gpu:
        return torch.device("cpu")
    if torch.cuda.is_available():
        given = os.environ.get(GIVEN)
        device = torch.device("cuda", int(given.split(",")[rank]) if given else claim_gpus(1)[0])
        problem = code_problem(device)
        if not problem:
            torch.cuda.set_device(device)
            return device
        if given:
            raise UserError(f"{problem}, or set train.gpus: 1 to train on the CPU")
    else:
        problem = driver_problem()
    if problem:
        print(f"computing on the CPU, which is slower: {problem}", flush=True)
    return torch.device("cpu")


def driver_problem() -> str | None:
    """Why PyTorch finds no GPU where there are some, and what to do; None if there are none, or none for this process."""
    if not gpu_here():
        return None
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # AssertionError: of a PyTorch without CUDA
        reason = " ".join(str(error).split()).split(". ")[0]
        if "No CUDA GPUs are available" not in reason:
            return f"PyTorch cannot use this machine's GPU ({reason}); update the driver, or let the container have the GPU"
    return None


def code_problem(device: torch.device) -> str | None:
    """Why the installed PyTorch cannot compute on a GPU, and what to do; None if it can."""
    known = torch.cuda.get_arch_list()
    if not any(name.startswith("sm_") for name in known):  # GPU of another maker
        return None
    capability = torch.cuda.get_device_capability(device)
    if runs_code(capability, known):
        return None
    return (
        f"GPU {device.index} has compute capability {'.'.join(map(str, capability))}, for which this PyTorch has no code "
        f"({', '.join(known)}); use another GPU, or a PyTorch that has it"
    )


def runs_code(capability: tuple[int, int], names: Sequence[str]) -> bool:
    """Whether a GPU runs code of one of these names: sm_86, of a GPU as new or older of its major version; compute_90 (PTX), of
    any as new or older."""
    for kind, major, minor, exact in re.findall(r"\b(sm|compute)_(\d+)(\d)(a?)", " ".join(names)):
        made_for = int(major), int(minor)
        if capability == made_for:
            return True
        if made_for < capability and not exact and (kind == "compute" or made_for[0] == capability[0]):
            return True
    return False


def claim_gpus(count: int) -> list[int]:
    """Numbers of ``count`` different GPUs of this machine, first those that no other job of this user has claimed.

    They belong to this process until it ends. If too few are free, jobs share GPUs, and a line is printed. UserError if the
    machine has fewer.
    """
    there = torch.cuda.device_count()
    if count > there:
        raise UserError(f"train.gpus asks for {count} GPUs, but this machine has {there}; lower it")
    free: list[int] = []
    for number in range(there):
        if len(free) < count and _claimed(number):
            free.append(number)
    shared = [number for number in range(there) if number not in free][: count - len(free)]
    if shared:
        print(f"GPU {', '.join(map(str, shared))}: shared with another job, since no other is free", flush=True)
    return free + shared


def _claimed(number: int) -> bool:
    """Whether a GPU was free and is this process's now; also if nothing can be written where claims are kept."""
    name = f"nafp-{os.getuid()}-{torch.cuda.get_device_properties(number).uuid}.lock"
    path = Path(tempfile.gettempdir()) / name
    try:
        file = open(path, "ab")  # noqa: SIM115
    except OSError as error:
        print(f"{path}: {error.strerror}; GPU {number} is used without a claim on it", flush=True)
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    CLAIMS.append(file)
    return True


def bfloat16_pays(device: torch.device) -> bool:
    """Whether products are faster in bfloat16 than in float32 there, on a CPU by a measurement of a moment.

    A CPU without it takes 20 times as long; one with AVX-512's bfloat16 and without AMX may take 1.7 times as long, by its
    libraries; one with AMX, or an AMD EPYC, a third.
    """
    if device.type != "cpu":
        return True
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    a = torch.ones(2048, 512)
    float32, bfloat16 = (_fastest_product(a.to(dtype)) for dtype in PRECISIONS.values())
    return bfloat16 * BFLOAT16_PAYS < float32


def _fastest_product(a: Tensor) -> float:
    """Seconds of the fastest of some products a^T a."""

    def once() -> float:
        started = time.perf_counter()
        a.T @ a
        return time.perf_counter() - started

    return min(once() for _ in range(10))


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in: the wanted one; float32 instead of bfloat16 on a CPU where that is not faster."""
    if wanted == "bfloat16" and not bfloat16_pays(device):
        print("train.precision: bfloat16 is no faster than float32 on this CPU, computing in float32", flush=True)
        return torch.float32
    return PRECISIONS[wanted]


def runs_kernels(device: torch.device) -> bool:
    """Whether Triton's kernels run there."""
    return (
        device.type == "cuda"
        and torch.cuda.get_device_capability(device) >= OLDEST_GPU
        and importlib.util.find_spec("triton") is not None
        and can_compile()
    )


@cache
def can_compile() -> bool:
    """Whether there are a C compiler and Python's headers, which Triton uses at run time; says once what is missing."""
    compiler, scheme = os.environ.get("CC"), sysconfig.get_default_scheme()
    compilers = ("gcc", "clang") if compiler is None else (compiler,)
    prefix = "posix_prefix" if scheme == "posix_local" else scheme  # Triton's choice, for Debian's Python
    header = Path(sysconfig.get_paths(prefix)["include"], "Python.h")
    missing = [] if any(map(shutil.which, compilers)) else [f"a C compiler ({' or '.join(compilers)})"]
    missing += [] if header.is_file() else [f"Python's headers ({header})"]
    if missing:
        print(
            f"the GPU kernels need {' and '.join(missing)}: computing with PyTorch's own operations, which is slower; install "
            "what is missing (Debian and Ubuntu: apt-get install gcc libc6-dev python3-dev)",
            flush=True,
        )
    return not missing


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """CPU tensors one behind the other, as uint8: one copy sends all of them.

    In pinned memory where there is a GPU: the host then need not wait for the copy.
    """
    ends = _ends(tensors)
    packed = torch.empty(ends[-1], dtype=torch.uint8, pin_memory=torch.cuda.is_available())
    for part, tensor in zip(unpack(packed, tensors), tensors, strict=True):
        part.copy_(tensor)
    return packed


def send(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """CPU tensors on a device, by one copy that the host does not wait for."""
    return list(tensors) if device.type == "cpu" else unpack(pack(tensors).to(device, non_blocking=True), tensors)


def unpack(packed: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Views of the tensors, of these shapes and dtypes, in the buffer that ``pack`` made, on its present device."""
    ends = _ends(like)
    return [
        packed[begin : begin + t.numel() * t.element_size()].view(t.dtype).view(t.shape)
        for t, begin in zip(like, ends[:-1], strict=True)
    ]


def _ends(tensors: Sequence[Tensor]) -> list[int]:
    """Where each tensor begins in a buffer, and where the last one ends, padded."""
    ends = [0]
    for tensor in tensors:
        size = prod(tensor.shape) * tensor.element_size()
        ends.append(ends[-1] + -(-size // ALIGNMENT) * ALIGNMENT)
    return ends
