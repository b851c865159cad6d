"""Settings of the process that computes: device, threads, memory allocator."""

import ctypes
import fcntl
import os
import sys
import tempfile
from pathlib import Path

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
CLAIMS = []  # open files whose locks are this process's GPUs


def set_up(threads: int, rank: int = 0, tf32: bool = False, gpu: bool = True) -> torch.device:
    """Use ``threads`` CPU threads and keep freed memory for the next batch; returns the device to compute on.

    That is a GPU (``free_gpu``) where there is one; ``gpu=False``, of a job that asks for none, stays on the CPU. ``tf32``
    lets it round the factors of float32 products to 10 bits, which is faster.

    glibc returns every large tensor to the system as soon as it is freed and asks for zeroed pages for the next one.
    Keeping them makes a training step of the demo model more than twice as fast on a CPU.
    """
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    if not gpu or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", free_gpu(rank))
    torch.cuda.set_device(device)
    return device


def free_gpu(rank: int) -> int:
    """The first GPU that no other job of this user has on this machine, its own until the process ends.

    If all are taken, the one with the number ``rank``: then jobs share it.
    """
    for number in range(torch.cuda.device_count()):
        name = f"nafp-{os.getuid()}-{torch.cuda.get_device_properties(number).uuid}.lock"
        file = open(Path(tempfile.gettempdir()) / name, "ab")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
        else:
            CLAIMS.append(file)
            return number
    return rank % torch.cuda.device_count()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is arithmetic there: on a CPU without it, convolutions fall back to a loop, 20 times slower."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in: the wanted one; float32 instead of bfloat16 on a CPU that only emulates it."""
    if wanted == "bfloat16" and not multiplies_bfloat16(device):
        print("train.precision: this CPU has no bfloat16 arithmetic, computing in float32", flush=True)
        return torch.float32
    return PRECISIONS[wanted]
