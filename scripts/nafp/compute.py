"""Settings of the process that computes: device, threads, memory allocator."""

import ctypes
import sys

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def set_up(threads: int, gpu: int = 0, tf32: bool = False) -> torch.device:
    """Use ``threads`` CPU threads and keep freed memory for the next batch; returns the device to compute on.

    That is CUDA device number ``gpu`` where there is one. ``tf32`` lets it round the factors of float32 products to 10
    bits, which is faster.

    glibc returns every large tensor to the system as soon as it is freed and asks for zeroed pages for the next one.
    Keeping them makes a training step of the demo model more than twice as fast on a CPU.
    """
    torch.set_num_threads(threads)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(M_MMAP_THRESHOLD, 2**30)
            libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    return torch.device("cuda", gpu) if torch.cuda.is_available() else torch.device("cpu")


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is arithmetic there: on a CPU without it, convolutions fall back to a loop, 20 times slower."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def precision(wanted: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in: the wanted one; float32 instead of bfloat16 on a CPU that only emulates it."""
    if wanted == "bfloat16" and not multiplies_bfloat16(device):
        print("train.precision: this CPU has no bfloat16 arithmetic, computing in float32", flush=True)
        return torch.float32
    return PRECISIONS[wanted]
