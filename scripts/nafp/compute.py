"""Settings of the process that computes: device, threads, memory allocator."""

import ctypes
import sys

import torch

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
