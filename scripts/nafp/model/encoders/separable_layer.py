"""A layer of the separable encoder on a CPU: convolution, activation and norm as one differentiable function.

Between its matrix products a CPU waits for memory: padded copies, new pages, zeros that gradients are then added to. So a few
items at a time go through the whole layer: what it needs on the way stays in the caches and is used again for the next items.
The convolution runs along the last axis before the channels, where the inputs of two of its taps lie side by side and need no
copy; the result has both axes exchanged, so that this holds for the next layer, along the other axis, too.

The eager path of ``separable_network`` defines what is right (tests/unit/test_separable_layer.py); benchmarks/cpu_step.md has
what this one brings.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.ops import aten

CHUNK = 8 * 2**20  # bytes of the larger of the input and the output of the items that go through a layer together
TAPS = 3


@dataclass(frozen=True)
class Taps:
    """Where the taps of a convolution meet its input, (..., length, c_in) -> (..., out, c_out).

    ``beside``: the taps whose inputs lie side by side, so that (rows, taps * c_in) of them is a view. ``gathered``: each
    other tap that ever meets something else than padding, with the outputs that it is for and the inputs that it meets.
    """

    out: int
    beside: range
    gathered: tuple[tuple[int, slice, slice], ...]

    @classmethod
    @lru_cache
    def of(cls, length: int, out: int, stride: int, before: int) -> "Taps":
        """Those of a convolution with ``before`` rows of padding before the axis."""
        beside = range(0)
        if stride == 2 and before == 0 and length == 2 * out:
            beside = range(2)
        elif length == out == 1:
            beside = range(before, before + 1)
        gathered = []
        for tap in range(TAPS):
            met = [i for i in range(out) if 0 <= i * stride + tap - before < length]
            if met and tap not in beside:
                first, last = (i * stride + tap - before for i in (met[0], met[-1]))
                gathered.append((tap, slice(met[0], met[-1] + 1), slice(first, last + 1, stride)))
        return cls(out, beside, tuple(gathered))

    def weights(self, by_tap: Tensor) -> tuple[Tensor, Tensor]:
        """(taps, c_in, c_out) -> (k, c_out) of the taps that lie side by side, and of the others."""
        others = [tap for tap, _, _ in self.gathered]
        return by_tap[list(self.beside)].flatten(0, 1), by_tap[others].flatten(0, 1)

    def gather(self, x: Tensor, into: Tensor) -> Tensor:
        """The (rows, k) inputs of the other taps, copied ``into`` (items, outer, out, taps, c_in), which is zero at paddings."""
        into = into[: len(x)]
        for place, (_, to, of) in enumerate(self.gathered):
            into[:, :, to, place] = x[:, :, of]
        return into.view(into.shape[:3].numel(), -1)

    def scatter(self, gathered: Tensor, into: Tensor) -> None:
        """Add what ``gather`` copied to where it came from."""
        for place, (_, to, of) in enumerate(self.gathered):
            into[:, :, of] += gathered[: len(into), :, to, place]


def layer(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
    """x (B, outer, length, c_in) -> z (B, out, outer, c_out): ``norm(conv(x))`` of ``separable_network``, along the length.

    So x is (B, F, T, c_in) for a convolution along time and (B, T, F, c_in) for one along frequency.
    """
    taps = Taps.of(x.shape[2], conv.out_length, max(conv.stride), conv.before)
    scale, shift = norm.norm.weight, norm.norm.bias
    if conv.axis == 1:
        scale, shift = scale.transpose(0, 1), shift.transpose(0, 1)
    by_tap = conv.weight.flatten(2).permute(2, 1, 0).to(x.dtype)
    weights = [part.contiguous() for part in taps.weights(by_tap)]
    norm_of = scale.contiguous(), shift.contiguous(), norm.release, norm.norm.eps
    return Layer.apply(x, *weights, conv.bias, *norm_of, taps, torch.is_grad_enabled())


class Layer(torch.autograd.Function):
    """``layer``, of weights (k, c_out) as ``Taps.weights`` gives them, and of the norm's scale and shift (outer, out, c_out).

    ``trained``: whether a gradient may be asked for, which needs y of all items; within ``forward`` PyTorch does not say.
    """

    @staticmethod
    def forward(ctx, x, beside, gathered, bias, scale, shift, elu: bool, epsilon: float, taps: Taps, trained: bool):
        items, outer, _, c_in = x.shape
        c_out = len(bias)
        z = x.new_empty((items, taps.out, outer, c_out))
        each = items_at_a_time(x, z)
        y = x.new_empty((items if trained else each, outer, taps.out, c_out))
        mean, rstd = torch.empty((2, items, 1, 1, 1))
        copies, bias = x.new_zeros((each, outer, taps.out, len(taps.gathered), c_in)), bias.to(x.dtype)
        for s in slices(items, each):
            here = y[s] if trained else y[: s.stop - s.start]
            rows = here.view(-1, c_out)
            if len(beside):
                torch.addmm(bias, x[s].view(len(rows), -1), beside, out=rows)
            else:
                rows.copy_(bias)
            if len(gathered):
                rows.addmm_(taps.gather(x[s], copies), gathered)
            if elu:
                F.elu_(here)
            normed, mean[s], rstd[s] = torch.native_layer_norm(here, scale.shape, scale, shift, epsilon)
            z[s] = (normed if elu else normed.relu_()).transpose(1, 2)
        if trained:
            ctx.save_for_backward(x, beside, gathered, y, mean, rstd, scale, shift, None if elu else z)
            ctx.taps, ctx.each = taps, each
        return z

    @staticmethod
    def backward(ctx, dz):
        x, beside, gathered, y, mean, rstd, scale, shift, z = ctx.saved_tensors
        taps, each, c_out = ctx.taps, ctx.each, y.shape[-1]
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        sums = [torch.zeros_like(part, dtype=torch.float32) for part in (beside, gathered, scale, shift)]
        dbeside, dgathered, dscale, dshift = sums
        dbias = torch.zeros(c_out)
        copies = x.new_zeros((each, *y.shape[1:3], len(taps.gathered), x.shape[-1]))
        dcopies = torch.empty_like(copies)
        for s in slices(len(x), each):
            dnormed = dz[s].transpose(1, 2)
            if z is not None:
                dnormed = dnormed * (z[s] > 0).transpose(1, 2)
            given = dnormed, y[s], scale.shape, mean[s], rstd[s], scale, shift
            dy, of_scale, of_shift = aten.native_layer_norm_backward(*given, [True, True, True])
            dscale += of_scale
            dshift += of_shift
            if z is None:
                aten.elu_backward.grad_input(dy, 1, 1, 1, True, y[s], grad_input=dy)
            rows = dy.view(-1, c_out)
            dbias += rows.sum(0, dtype=torch.float32)
            if len(beside):
                add_product(dbeside, x[s].view(len(rows), -1), rows)
                if dx is not None:
                    torch.mm(rows, beside.T, out=dx[s].view(len(rows), -1))
            elif dx is not None:
                dx[s].zero_()
            if len(gathered):
                add_product(dgathered, taps.gather(x[s], copies), rows)
                if dx is not None:
                    torch.mm(rows, gathered.T, out=dcopies.view(-1, len(gathered))[: len(rows)])
                    taps.scatter(dcopies, dx[s])
        return dx, dbeside, dgathered, dbias, dscale, dshift, None, None, None, None


def items_at_a_time(x: Tensor, z: Tensor) -> int:
    """How many items go through a layer together."""
    largest = max(x[0].numel(), z[0].numel()) * x.element_size()
    return min(max(CHUNK // largest, 1), len(x))


def slices(items: int, each: int) -> Iterator[slice]:
    """All items, ``each`` at a time."""
    return (slice(first, min(first + each, items)) for first in range(0, items, each))


def add_product(into: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a^T b, of (rows, k) and (rows, c), to a float32 (k, c)."""
    if a.dtype == into.dtype:
        into.addmm_(a.T, b)
    else:
        into += a.T @ b
