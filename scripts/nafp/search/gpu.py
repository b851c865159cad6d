"""Search on a GPU where Faiss can hold the index type there (``FaissType.gpu_refusal``), and on the CPU otherwise.

Faiss copies an index to a GPU ("cloner"). It does so for few types, with limits that are in its kernels: the reason why it
cannot becomes an error with ``search.device: gpu``, and a line in the log with ``auto``.
"""

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from nafp.errors import UserError
from nafp.jobfacts import gpu_here
from nafp.search.types.base import FaissType, IndexType

if TYPE_CHECKING:
    import faiss
    import torch

DEVICES = ("auto", "cpu", "gpu")


def wants_gpu(index_type: IndexType, device: str) -> bool:
    """Whether a search on ``device`` (auto, cpu or gpu) uses a GPU of this machine for an index type."""
    return device == "gpu" or (device == "auto" and index_type.gpu_refusal() is None and gpu_here())


def gpu_without_faiss(device: str) -> "torch.device | None":
    """The GPU for an exhaustive search by PyTorch; None if Faiss can use it, if there is none, or if ``device`` is cpu."""
    if device == "cpu" or not (gpu_here() and find_spec("torch")):
        return None
    import faiss
    import torch

    if getattr(faiss, "get_num_gpus", int)() or not torch.cuda.is_available():
        return None
    return torch.device("cuda", _card())


def to_gpu(index: "faiss.Index", index_type: FaissType, device: str) -> "faiss.Index":
    """The index on a GPU that no other job has, if ``device`` is auto or gpu.

    If that is not possible, ``auto`` prints the reason and gives the index as it is; ``gpu`` raises UserError.
    """
    if device == "cpu":
        return index
    import faiss

    if not getattr(faiss, "get_num_gpus", int)():
        return _refused("there is no GPU that Faiss can use", index, device)
    if reason := index_type.gpu_refusal():
        return _refused(reason, index, device)
    number, why = _card(), ""
    for float16 in index_type.gpu_precisions():
        cloner = faiss.GpuClonerOptions()
        cloner.useFloat16 = float16
        try:
            copy = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, index, cloner)
        except RuntimeError as error:
            why = " ".join(str(error).split())
        else:
            if float16:
                print(f"search.device: {index_type.name} is on the GPU in float16, since float32 does not fit")
            return copy
    return _refused(f"Faiss could not copy {index_type.name} to GPU {number} ({why[-200:]})", index, device)


@cache
def _card() -> int:
    """The number of a GPU, claimed for this job at the first call; 0 where PyTorch, which takes seconds to load, is missing."""
    if not find_spec("torch"):
        return 0
    from nafp.compute import claim_gpus

    return claim_gpus(1)[0]


def _refused(reason: str, index: "faiss.Index", device: str) -> "faiss.Index":
    if device == "gpu":
        raise UserError(f"search.device: gpu cannot be used: {reason}; use auto or cpu")
    print(f"search.device: {reason}, searching on the CPU")
    return index
