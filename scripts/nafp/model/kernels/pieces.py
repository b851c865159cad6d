"""Building blocks of the kernels: compilation, the activation, and sums."""

import inspect

import triton
import triton.language as tl

NO_VARIANTS = (  # sizes whose divisibility changes nothing: one compiled kernel serves all of them
    *("items", "per_group", "parts", "per_part", "rows", "rows_each"),
    *("length_in", "length_out", "stride", "before", "first_tap", "taps"),
)
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)  # on a CPU, for tests: TRITON_INTERPRET=1


def jit(kernel):
    """``triton.jit`` with as few variants as there can be: each takes a second to compile.

    The convolutions are compiled for each layer all the same: dividing row numbers by known sizes is much faster.
    """
    sizes = [name for name, p in inspect.signature(kernel).parameters.items() if p.annotation is p.empty]
    return triton.jit(kernel, do_not_specialize=[name for name in sizes if name in NO_VARIANTS])


@triton.jit
def elu_slope(y):
    """The slope of ELU, exp(min(y, 0)), without the instructions that would keep results below 1e-38."""
    x = tl.minimum(y, 0.0) * 1.4426950408889634
    if INTERPRETED:
        return tl.exp2(x)
    return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def elu_from(y, slope):
    """max(y, exp(min(y, 0)) - 1): for y > 0 the second is 0, below it is the larger one."""
    return tl.maximum(y, slope - 1.0)


@triton.jit
def add_pairs(a, b, c, d):
    return a + c, b + d


@triton.jit
def two_sums(a, b):
    """The sums of two (R, C) blocks, in one reduction."""
    if INTERPRETED:  # the interpreter takes seconds for a joint reduction
        return tl.sum(a), tl.sum(b)
    return tl.reduce((tl.ravel(a), tl.ravel(b)), 0, add_pairs)


@triton.jit
def two_row_sums(a, b):
    """The sums of two (R, C) blocks over C, in one reduction; a row is one warp's, so that no warp waits for another."""
    if INTERPRETED:
        return tl.sum(a, axis=1), tl.sum(b, axis=1)
    return tl.reduce((a, b), 1, add_pairs)


@triton.jit
def store_moments(total, squares, count, moments, part):
    mean = total / count
    tl.store(moments + part * 2, mean)
    tl.store(moments + part * 2 + 1, squares - mean * total)
