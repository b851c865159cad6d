"""Which index types a GPU can hold, and how; what it cannot hold stays on the CPU.

Faiss copies an index to a GPU ("cloner"). It does so for few types, with limits that are in its kernels: a sentence that
says which one stands in the way becomes an error with ``search.device: gpu``, and a remark with ``auto``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nafp.errors import UserError

if TYPE_CHECKING:
    import faiss
    import torch

SHARED_MEMORY = 49_152  # bytes that a block of a GPU has for the lookup tables of a product quantiser
CODES_OF_KERNELS = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)  # of faiss.GpuIndexIVFPQ
MOST_PROBES = 2048


@dataclass(frozen=True)
class OnGpu:
    """How a GPU holds an index type.

    ``refusal``: the type's options -> why it cannot, or None. ``float16``: its options -> whether to try with float16
    (stored vectors of a flat index, lookup tables of a product quantiser), in the order of the attempts.
    """

    refusal: Callable[[Mapping], str | None] = lambda options: None
    float16: Callable[[Mapping], tuple[bool, ...]] = lambda options: (False,)


def _too_many_probes(options: Mapping) -> str | None:
    return f"more than {MOST_PROBES} of nprobe" if options["nprobe"] > MOST_PROBES else None


def _product_refusal(options: Mapping) -> str | None:
    if options["bits"] != 8:
        return f"codes of {options['bits']} bits, only of 8"
    if options["codes"] not in CODES_OF_KERNELS:
        return f"{options['codes']} codes, only {', '.join(map(str, CODES_OF_KERNELS))}"
    return _too_many_probes(options)


def _table_precisions(options: Mapping) -> tuple[bool, ...]:
    return (options["codes"] * 2 ** options["bits"] * 4 > SHARED_MEMORY,)


TYPES: dict[str, OnGpu] = {
    "l2": OnGpu(float16=lambda options: (False, True)),  # float16 where float32 does not fit
    "ivf": OnGpu(_too_many_probes),
    "ivfpq": OnGpu(_product_refusal, _table_precisions),
}


def refusal(kind: str, options: Mapping) -> str | None:
    """Why a GPU cannot hold an index of a type with these options, or None."""
    if kind not in TYPES:
        return f"Faiss has no GPU version of {kind}"
    reason = TYPES[kind].refusal(options)
    return f"on a GPU Faiss cannot do {reason} ({kind})" if reason else None


@cache
def gpu_here() -> bool:
    """Whether this machine has an NVIDIA GPU, found without loading a library."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def wants_gpu(kind: str, options: Mapping, device: str) -> bool:
    """Whether a search on ``device`` (auto, cpu or gpu) uses a GPU of this machine for an index type."""
    return device == "gpu" or (device == "auto" and refusal(kind, options) is None and gpu_here())


def without_faiss(kind: str, device: str) -> "torch.device | None":
    """The GPU for an exhaustive search by PyTorch, if Faiss cannot use the GPU that this machine has."""
    if kind != "l2" or device == "cpu" or not (gpu_here() and find_spec("torch")):
        return None
    import faiss
    import torch

    if getattr(faiss, "get_num_gpus", int)() or not torch.cuda.is_available():
        return None
    return torch.device("cuda", _card())


def to_gpu(index: "faiss.Index", kind: str, options: Mapping, device: str) -> "faiss.Index":
    """The index on a GPU that no other job has, if ``device`` is auto or gpu.

    What stands in the way is said and the index returned as it is with ``auto``; a UserError with ``gpu``.
    """
    if device == "cpu":
        return index
    import faiss

    if not getattr(faiss, "get_num_gpus", int)():
        return _refused("there is no GPU that Faiss can use", index, device)
    if reason := refusal(kind, options):
        return _refused(reason, index, device)
    number, why = _card(), ""
    for float16 in TYPES[kind].float16(options):
        cloner = faiss.GpuClonerOptions()
        cloner.useFloat16 = float16
        try:
            copy = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, index, cloner)
        except RuntimeError as error:
            why = " ".join(str(error).split())
        else:
            if float16:
                print(f"search.device: {kind} is on the GPU in float16, since float32 does not fit")
            return copy
    return _refused(f"Faiss could not copy {kind} to GPU {number} ({why[-200:]})", index, device)


@cache
def _card() -> int:
    """The number of a GPU, claimed for this job at the first call; the first one where PyTorch is not installed.

    PyTorch takes seconds to load. This is reached on machines with a GPU only.
    """
    if not find_spec("torch"):
        return 0
    from nafp.compute import claim_gpus

    return claim_gpus(1)[0]


def _refused(reason: str, index: "faiss.Index", device: str) -> "faiss.Index":
    if device == "gpu":
        raise UserError(f"search.device: gpu cannot be used: {reason}; use auto or cpu")
    print(f"search.device: {reason}, searching on the CPU")
    return index
