"""The gradient of a contrastive loss over a whole batch, in micro-batches and over several processes.

A contrastive loss couples all items of a batch, so gradients of independent micro-batches cannot simply be added up. Gradient
caching (arXiv 2101.06983) is exact: embed every micro-batch without a graph, differentiate the loss with respect to all
embeddings at once, then embed each micro-batch again and backpropagate its part of that gradient.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nafp.errors import UserError
from nafp.memory import free_memory

SHARE_OF_FREE_MEMORY = 0.5  # share for the graph of a micro-batch; gradients and the optimizer need memory too


def rank_and_world_size() -> tuple[int, int]:
    """Rank and number of processes of a run started by torchrun; (0, 1) otherwise."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def gather_rows(local: Tensor) -> Tensor:
    """Every process's rows (n, d) -> all rows (n * world_size, d) in batch order: row r is on rank r % world_size."""
    count = rank_and_world_size()[1]
    if count == 1:
        return local
    parts = [torch.empty_like(local) for _ in range(count)]
    dist.all_gather(parts, local.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


def backward(
    embed: Callable[[Tensor], Tensor],
    images: Tensor,
    loss_of: Callable[[Tensor], Tensor],
    micro_batch_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of ``loss_of(embeddings of the whole batch)`` to the parameters of ``embed``.

    ``images``: this process's rows of the batch, rank, rank + world_size, ... ``micro_batch_size``: how many of them are
    embedded with a graph at a time; None: all. The sum over processes is left to ``sum_over_processes``. Returns the loss
    and all embeddings (B, d), detached.
    """
    micro_batches = images.split(micro_batch_size or len(images))
    with torch.set_grad_enabled(len(micro_batches) == 1):
        local = torch.cat([embed(part) for part in micro_batches])
    everyone = gather_rows(local.detach()).requires_grad_()
    loss = loss_of(everyone)
    (gradient,) = torch.autograd.grad(loss, everyone)
    rank, world_size = rank_and_world_size()
    mine = gradient[rank::world_size]
    if len(micro_batches) == 1:
        local.backward(mine)
    else:
        for part, g in zip(micro_batches, mine.split(micro_batch_size), strict=True):
            embed(part).backward(g)
    return loss.detach(), everyone.detach()


def mean_over_processes(x: Tensor) -> Tensor:
    """The mean of the values of every process's tensor, all of one size: a scalar."""
    mean = x.mean()
    if rank_and_world_size()[1] > 1:
        dist.all_reduce(mean)
        mean /= rank_and_world_size()[1]
    return mean


def sum_over_processes(parameters: list[nn.Parameter]) -> None:
    """Sum the gradients of all processes, as one buffer."""
    if rank_and_world_size()[1] == 1:
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


def largest_micro_batch(embed: Callable[[Tensor], Tensor], images: Tensor, rows: int) -> tuple[int | None, str]:
    """How many of ``rows`` images fit into memory at a time (None: all), and a sentence that says why.

    Measured with the given images, so with as many as are sure to fit.
    """
    one, two = graph_bytes(embed, images[:1]), graph_bytes(embed, images[:2]) * 2
    each = max(two - one, 1)  # bytes of one more image; parameters are kept once
    on_gpu = images.device.type == "cuda"  # of this process alone, while all processes share the memory of a CPU
    free = torch.cuda.mem_get_info(images.device)[0] if on_gpu else free_memory() // rank_and_world_size()[1]
    fitting = int(SHARE_OF_FREE_MEMORY * free / each)
    if fitting < 1:
        raise UserError(
            f"one segment needs {each / 1e6:.0f} MB of memory to train, but only {free / 1e6:.0f} MB are free"
        )
    count = -(-rows // fitting)
    size = None if count == 1 else -(-rows // count)
    said = "the whole batch at once" if size is None else f"micro-batches of {size} of {rows} rows"
    return size, f"micro_batch_size auto: {each / 1e6:.1f} MB a segment, {free / 1e9:.1f} GB free: {said}"


@contextmanager
def out_of_memory_explained(rows: int, auto: bool = False) -> Iterator[None]:
    """Replace an out-of-memory error by a sentence with the ``micro_batch_size`` to set; ``auto``: it is that already."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            way_out = f"{max(rows // 2, 1)}{'' if auto else ' or auto'}"
            raise UserError(
                f"out of memory with {rows} segments at a time; set train.micro_batch_size to {way_out}: "
                "the batch is then computed in micro-batches, with the same result"
            ) from error
        raise
