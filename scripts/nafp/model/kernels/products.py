"""Convolutions along one axis and their gradients, as matrix products over rows of channels."""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from nafp.model.kernels.pieces import elu_from, elu_slope, jit, store_moments, two_sums

TAPS = 3  # kernel length of every convolution of the encoder
MANY_ROWS = 2**14  # rows from which tiles of 128 rows fill a GPU
SHARES = 264  # programs that share the rows of a weight gradient: two for each multiprocessor of an H100


@triton.jit
def _wide(row, WIDE: tl.constexpr):
    """Row numbers as 64-bit integers, if elements cannot be counted by 32 bits."""
    if WIDE:
        row = row.to(tl.int64)
    return row


@jit
def _convolve(
    x, w, bias, y, moments, rows, first_tap, taps,
    inner: tl.constexpr, length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    c_in: tl.constexpr, c_out: tl.constexpr,
    MOMENTS: tl.constexpr, ELU: tl.constexpr, PRECISION: tl.constexpr, WIDE: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Grid (tiles of rows x tiles of channels): y. MOMENTS: and the moments of each tile's activations."""
    tiles: tl.constexpr = c_out // BN
    m = tl.program_id(0) // tiles * BM + tl.arange(0, BM)
    n = tl.program_id(0) % tiles * BN + tl.arange(0, BN)
    position = m // inner % length_out * stride - before
    row = _wide(m // (inner * length_out) * length_in + position, WIDE) * inner + m % inner
    blocks: tl.constexpr = c_in // BK
    total = tl.zeros((BM, BN), tl.float32)
    for step in range(first_tap * blocks, (first_tap + taps) * blocks):
        tap = step // blocks
        k = step % blocks * BK + tl.arange(0, BK)
        there = (m < rows) & (position + tap >= 0) & (position + tap < length_in)
        a = tl.load(x + (row + tap * inner)[:, None] * c_in + k[None, :], mask=there[:, None], other=0.0)
        b = tl.load(w + n[None, :] * (3 * c_in) + (tap * c_in + k)[:, None])
        total = tl.dot(a, b, total, input_precision=PRECISION)
    value = (total + tl.load(bias + n)[None, :]).to(y.dtype.element_ty)
    tl.store(y + _wide(m, WIDE)[:, None] * c_out + n[None, :], value, mask=(m < rows)[:, None])
    if MOMENTS:  # the rows of a tile are all of one item
        a = value.to(tl.float32)
        if ELU:
            a = elu_from(a, elu_slope(a))
        a_sum, squares = two_sums(a, a * a)
        store_moments(a_sum, squares, BM * BN, moments, tl.program_id(0))


@jit
def _input_gradient(
    dy, w, dx, rows,
    inner: tl.constexpr, length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    first_tap: tl.constexpr, taps: tl.constexpr, c_in: tl.constexpr, c_out: tl.constexpr,
    PRECISION: tl.constexpr, WIDE: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """Grid (tiles of rows x phases x tiles of channels): dx at every stride-th position, which the same taps reach.

    Padding included, position p lies at p + before = stride * j + phase; there, tap phase + stride * u brings y from j - u.
    """
    tiles: tl.constexpr = c_in // BN
    n = tl.program_id(0) % tiles * BN + tl.arange(0, BN)
    phase = tl.program_id(0) // tiles % stride
    m = tl.program_id(0) // (tiles * stride) * BM + tl.arange(0, BM)  # (outer, j, inner)
    steps: tl.constexpr = (length_in + before + stride - 1) // stride
    j, outer, i = m // inner % steps, m // (inner * steps), m % inner
    position = j * stride + phase - before
    source = _wide(outer * length_out + j, WIDE) * inner + i
    low = (tl.maximum(first_tap - phase, 0) + stride - 1) // stride
    high = (first_tap + taps - 1 - phase + stride) // stride
    blocks: tl.constexpr = c_out // BK
    total = tl.zeros((BM, BN), tl.float32)
    for step in range(low * blocks, high * blocks):
        u = step // blocks
        k = step % blocks * BK + tl.arange(0, BK)
        there = (m < rows) & (j >= u) & (j - u < length_out)
        a = tl.load(dy + (source - u * inner)[:, None] * c_out + k[None, :], mask=there[:, None], other=0.0)
        b = tl.load(w + k[:, None] * (3 * c_in) + ((phase + stride * u) * c_in + n)[None, :])
        total = tl.dot(a, b, total, input_precision=PRECISION)
    row = _wide(outer * length_in + position, WIDE) * inner + i
    wanted = (m < rows) & (position >= 0) & (position < length_in)
    tl.store(dx + row[:, None] * c_in + n[None, :], total.to(dx.dtype.element_ty), mask=wanted[:, None])


@jit
def _weight_gradient(
    x, dy, dw, rows, rows_each,
    inner: tl.constexpr, length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    first_tap: tl.constexpr, taps: tl.constexpr, c_in: tl.constexpr, c_out: tl.constexpr,
    PRECISION: tl.constexpr, WIDE: tl.constexpr, BM: tl.constexpr, BO: tl.constexpr, BI: tl.constexpr,
):  # fmt: skip
    """Grid (tiles of input channels x taps x tiles of output channels, shares of the rows): a share's part of dw."""
    tiles: tl.constexpr = c_in // BI
    i = tl.program_id(0) % tiles * BI + tl.arange(0, BI)
    tap = first_tap + tl.program_id(0) // tiles % taps
    o = tl.program_id(0) // (tiles * taps) * BO + tl.arange(0, BO)
    share = tl.program_id(1)
    of_weight = tl.zeros((BO, BI), tl.float32)
    end = tl.minimum((share + 1) * rows_each, rows)
    for start in range(share * rows_each, end, BM):
        m = start + tl.arange(0, BM)
        position = m // inner % length_out * stride + tap - before
        row = _wide(m // (inner * length_out) * length_in + position, WIDE) * inner + m % inner
        there = (m < end) & (position >= 0) & (position < length_in)
        a = tl.load(dy + _wide(m, WIDE)[:, None] * c_out + o[None, :], mask=(m < end)[:, None], other=0.0)
        b = tl.load(x + row[:, None] * c_in + i[None, :], mask=there[:, None], other=0.0)
        of_weight = tl.dot(tl.trans(a), b, of_weight, input_precision=PRECISION)
    at = ((share * c_out + o)[:, None] * 3 + tap) * c_in + i[None, :]
    tl.store(dw + at, of_weight)


# ---------------------------------------------------------------- on the host


@dataclass(frozen=True)
class Moments:
    """(B, parts, 2) mean and sum of squared deviations of the parts of items, ``per_part`` elements each."""

    parts: Tensor
    per_part: int


@dataclass(frozen=True)
class Axis:
    """What a convolution does to an item: (outer, length_in, inner) rows of channels -> (outer, length_out, inner)."""

    outer: int
    inner: int
    length_in: int
    length_out: int
    stride: int
    before: int  # rows of padding before the axis

    @property
    def rows(self) -> int:
        """Rows of an item that it gives."""
        return self.outer * self.length_out * self.inner

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Where its taps lie, as the kernels are told."""
        return self.length_in, self.length_out, self.stride, self.before

    @property
    def taps(self) -> tuple[int, int]:
        """(first, number of) the taps that ever meet something else than padding."""
        last = self.stride * (self.length_out - 1) - self.before
        used = [tap for tap in range(TAPS) if tap - self.before < self.length_in and last + tap >= 0]
        return used[0], len(used)


def power_of_two_in(n: int, most: int) -> int:
    """The largest power of two that divides ``n``, at most ``most``."""
    return min(n & -n, most)


def warps_of(*tile: int) -> int:
    """Warps for a tile of a matrix product."""
    return 8 if tile[0] * tile[1] >= 128 * 128 else 4


def factors(x: Tensor) -> str:
    """How float32 products are computed: rounded to TF32 as ``train.tf32`` says, or as three such products, which lose
    nothing that matters."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"


def depth_of(x: Tensor, channels: int) -> int:
    """Channels of a tile that a step of a matrix product takes: 128 bytes of a row."""
    return power_of_two_in(channels, 128 // x.element_size())


def wide(*tensors: Tensor) -> bool:
    """Whether one of them has more elements than 32 bits can count."""
    return max(t.numel() for t in tensors) >= 2**31 - 2**20  # tiles reach beyond the end


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor, axis: Axis, elu: bool, moments_wanted: bool
) -> tuple[Tensor, Moments | None]:
    """(B, rows, c_in) -> y (B, rows, c_out), and the moments of its activations if they are wanted.

    ``weight``: (c_out, 3 * c_in) in the dtype of x. No moments where a tile would hold rows of several items.
    """
    items, c_in, c_out = len(x), x.shape[-1], len(weight)
    rows = items * axis.rows
    bm, bn, bk = 128 if rows >= MANY_ROWS else 64, power_of_two_in(c_out, 128), depth_of(x, c_in)
    y = torch.empty((items, axis.rows, c_out), dtype=x.dtype, device=x.device)
    moments = None
    if moments_wanted and axis.rows % bm == 0:
        parts = axis.rows // bm * (c_out // bn)
        moments = torch.empty((items, parts, 2), dtype=torch.float32, device=x.device)
    _convolve[(triton.cdiv(rows, bm) * (c_out // bn),)](
        x, weight, bias, y, moments, rows, *axis.taps, axis.inner, *axis.place, c_in, c_out,
        MOMENTS=moments is not None, ELU=elu, PRECISION=factors(x), WIDE=wide(x, y), BM=bm, BN=bn, BK=bk,
        num_warps=warps_of(bm, bn), num_stages=3,
    )  # fmt: skip
    return y, None if moments is None else Moments(moments, bm * bn)


def input_gradient(dy: Tensor, weight: Tensor, axis: Axis) -> Tensor:
    """(B, rows, c_out) -> dx (B, rows of the input, c_in)."""
    items, c_out, c_in = len(dy), len(weight), weight.shape[1] // TAPS
    rows = items * axis.outer * triton.cdiv(axis.length_in + axis.before, axis.stride) * axis.inner
    bm, bn, bk = 128 if rows >= MANY_ROWS else 64, power_of_two_in(c_in, 128), depth_of(dy, c_out)
    dx = torch.empty((items, axis.outer * axis.length_in * axis.inner, c_in), dtype=dy.dtype, device=dy.device)
    _input_gradient[(triton.cdiv(rows, bm) * axis.stride * (c_in // bn),)](
        dy, weight, dx, rows, axis.inner, *axis.place, *axis.taps, c_in, c_out,
        PRECISION=factors(dy), WIDE=wide(dx, dy), BM=bm, BN=bn, BK=bk, num_warps=warps_of(bm, bn), num_stages=3,
    )  # fmt: skip
    return dx


def weight_gradient(x: Tensor, dy: Tensor, axis: Axis) -> Tensor:
    """(B, rows, c_in), (B, rows, c_out) -> float32 dw (c_out, 3, c_in)."""
    items, c_in, c_out = len(x), x.shape[-1], dy.shape[-1]
    rows, (first, taps) = items * axis.rows, axis.taps
    bm, bo, bi = 128 // x.element_size(), power_of_two_in(c_out, 128), power_of_two_in(c_in, 128)
    programs = (c_in // bi) * taps * (c_out // bo)
    shares = max(min(SHARES // programs, rows // (8 * bm)), 1)
    each = triton.cdiv(triton.cdiv(rows, shares), bm) * bm
    shares = triton.cdiv(rows, each)
    make = torch.empty if taps == TAPS else torch.zeros
    dw = make((shares, c_out, TAPS, c_in), dtype=torch.float32, device=x.device)
    _weight_gradient[(programs, shares)](
        x, dy, dw, rows, each, axis.inner, *axis.place, first, taps, c_in, c_out,
        PRECISION=factors(x), WIDE=wide(x, dy), BM=bm, BO=bo, BI=bi, num_warps=warps_of(bo, bi), num_stages=3,
    )  # fmt: skip
    return dw.sum(0)
