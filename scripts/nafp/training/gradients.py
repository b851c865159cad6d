"""The gradient of a contrastive loss over a whole batch, in pieces and over several processes.

A contrastive loss couples all items of a batch, so the batch cannot be cut into independent pieces as other losses
allow. It is exact all the same (gradient caching, arXiv 2101.06983): embed every piece without a graph, differentiate the
loss with respect to all embeddings at once, then embed each piece again and push its part of that gradient through.
"""

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nafp.errors import UserError

SHARE_OF_FREE_MEMORY = 0.5  # that the graph of a piece may take: its gradients and the optimizer need room too


def world() -> tuple[int, int]:
    """(rank, number of processes) of a run started by torchrun; (0, 1) of any other."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def gather_rows(local: Tensor) -> Tensor:
    """Every process's rows (n, d) -> all rows (n * processes, d) in batch order: row r lies with process r modulo them."""
    count = world()[1]
    if count == 1:
        return local
    parts = [torch.empty_like(local) for _ in range(count)]
    dist.all_gather(parts, local.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def backward(
    embed: Callable[[Tensor], Tensor],
    images: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    piece: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of ``loss_of(embeddings of the whole batch)`` to the parameters of ``embed``.

    ``images``: this process's rows of the batch, rank, rank + processes, ... ``piece``: how many of them are embedded
    with a graph at a time; None: all. The sum over processes is left to ``sum_over_processes``. Returns the loss and all
    embeddings (B, d), detached.
    """
    pieces = images.split(piece or len(images))
    with torch.set_grad_enabled(len(pieces) == 1):
        local = torch.cat([embed(p) for p in pieces])
    everyone = gather_rows(local.detach()).requires_grad_()
    loss = loss_of(everyone)
    (gradient,) = torch.autograd.grad(loss, everyone)
    rank, count = world()
    mine = gradient[rank::count]
    if len(pieces) == 1:
        local.backward(mine)
    else:
        for p, g in zip(pieces, mine.split(piece), strict=True):
            embed(p).backward(g)
    return loss.detach(), everyone.detach()


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of the values of every process's tensor, all of one size: a scalar."""
    mean = x.mean()
    if world()[1] > 1:
        dist.all_reduce(mean)
        mean /= world()[1]
    return mean


def sum_over_processes(parameters: list[nn.Parameter]) -> None:
    """Sum the gradients of all processes, as one buffer."""
    if world()[1] == 1:
        return
    gradients = [p.grad for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    for g, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(summed.view_as(g))


def graph_bytes(embed: Callable[[Tensor], Tensor], images: Tensor) -> int:
    """Bytes that autograd keeps for each of the images between forward and backward, measured on these."""
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        embed(images)
    return max(sum(kept.values()) // len(images), 1)


def largest_piece(embed: Callable[[Tensor], Tensor], images: Tensor, rows: int) -> tuple[int | None, str]:
    """How many of ``rows`` images fit into memory at a time (None: all), and a sentence that says why.

    Measured with the given images, so with as many as are sure to fit.
    """
    one, two = graph_bytes(embed, images[:1]), graph_bytes(embed, images[:2]) * 2
    each = max(two - one, 1)  # what is kept once (parameters) does not count twice
    free = free_memory(images.device)
    fitting = int(SHARE_OF_FREE_MEMORY * free / each)
    if fitting < 1:
        raise UserError(
            f"one segment needs {each / 1e6:.0f} MB of memory to train, but only {free / 1e6:.0f} MB are free"
        )
    pieces = -(-rows // fitting)
    piece = None if pieces == 1 else -(-rows // pieces)
    said = "the whole batch at once" if piece is None else f"pieces of {piece} of {rows} rows"
    return piece, f"micro_batch auto: {each / 1e6:.1f} MB a segment, {free / 1e9:.1f} GB free: {said}"


def free_memory(device: torch.device) -> int:
    """Bytes of memory that a process can still take."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with open("/proc/meminfo", encoding="ascii") as lines:
        available = next(line for line in lines if line.startswith("MemAvailable"))
    return int(available.split()[1]) * 1024
