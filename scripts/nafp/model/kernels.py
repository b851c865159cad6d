"""Triton kernels of the encoder for a GPU: a convolution along one axis, its activation and layer norm, both ways.

Training is limited by memory traffic. The norms cover up to 524,288 elements of an item, so eager PyTorch moves every
activation some twenty times a step. Here a layer reads and writes it 13 times in all, and the first layer, which holds 46 %
of all activations, six times: its convolution is computed again wherever it is needed instead of being stored. A
convolution is a matrix product over rows of channels, one row for each item, frequency and time, without padding copies.

Names: ``y`` is what a convolution gives, ``a`` its activation and ``z`` what the layer gives. ``ELU``: ``a = elu(y)`` and
``z = norm(a)``, the model variant "release"; otherwise ``a = y`` and ``z = relu(norm(a))``, the variant "paper".

Sums run in float32, and no kernel uses atomics: the same input gives the same bits on the same GPU. The eager path of
``nafp.model.network`` defines what is right (tests/test_kernels.py).
"""

import inspect
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

TAPS = 3  # of every convolution of the encoder
TILE, ROW = 2048, 256  # elements of an item that a program of the norm has in registers, in rows of a warp each
PART, FIRST_PARTS = 8192, 4  # elements whose moments a program takes together, and programs of an image
WHOLE_ITEM = 8192  # elements of an item, up to which one program has all of it in registers and reads it once
NORM_PROGRAMS, WHOLE_PROGRAMS = 1056, 264  # eight, or with whole items two, for each of an H100's multiprocessors
SHARES = 264  # programs among which a weight gradient's rows are shared: two for each multiprocessor
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


# ---------------------------------------------------------------- activation and norm


@triton.jit
def _slope(y):
    """The slope of ELU, exp(min(y, 0)), without the instructions that would keep results below 1e-38."""
    x = tl.minimum(y, 0.0) * 1.4426950408889634
    if INTERPRETED:
        return tl.exp2(x)
    return tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, is_pure=True, pack=1)


@triton.jit
def _elu(y, slope):
    """max(y, exp(min(y, 0)) - 1): for y > 0 the second is 0, below it is the larger one."""
    return tl.maximum(y, slope - 1.0)


@triton.jit
def _add_pairs(a, b, c, d):
    return a + c, b + d


@triton.jit
def _two_sums(a, b):
    """The sums of two (R, C) blocks, in one reduction."""
    if INTERPRETED:  # which would take seconds for it
        return tl.sum(a), tl.sum(b)
    return tl.reduce((tl.ravel(a), tl.ravel(b)), 0, _add_pairs)


@triton.jit
def _two_row_sums(a, b):
    """The sums of two (R, C) blocks over C, in one reduction; a row is one warp's, so that no warp waits for another."""
    if INTERPRETED:
        return tl.sum(a, axis=1), tl.sum(b, axis=1)
    return tl.reduce((a, b), 1, _add_pairs)


@triton.jit
def _tile(size, channels, R: tl.constexpr, C: tl.constexpr):
    """A program's elements of an item: their rows (R, 1), channels (1, C), places (R, C), and which of these exist."""
    r, c = tl.program_id(0) * R + tl.arange(0, R)[:, None], tl.arange(0, C)[None, :]
    at = r * channels + c
    return r, c, at, (c < channels) & (at < size)


@triton.jit
def _items_of_group(items, per_group):
    first = tl.program_id(1) * per_group
    return first, tl.minimum(first + per_group, items)


@triton.jit
def _taps(w, bias, c, channels):
    """The weights of the first convolution, whose input has one channel: three taps and the bias, (1, C) each."""
    here = c < channels
    w0 = tl.load(w + c * 3, mask=here, other=0.0)
    w1 = tl.load(w + c * 3 + 1, mask=here, other=0.0)
    w2 = tl.load(w + c * 3 + 2, mask=here, other=0.0)
    return w0, w1, w2, tl.load(bias + c, mask=here, other=0.0)


@triton.jit
def _pixels(image, r, rows, length_in, length_out, stride, before):
    """Where in an image the pixels (R, 1) lie that the first tap meets at output rows r = (frequency, time), and which of
    those of the three taps are no padding."""
    position = r % length_out * stride - before
    place = image + r // length_out * length_in + position
    known = r < rows
    in0 = known & (position >= 0) & (position < length_in)
    in1 = known & (position >= -1) & (position < length_in - 1)
    return place, in0, in1, known & (position >= -2) & (position < length_in - 2)


@triton.jit
def _pixels_at(place, in0, in1, in2):
    """The pixels that the three taps meet."""
    x0 = tl.load(place, mask=in0, other=0.0)
    x1 = tl.load(place + 1, mask=in1, other=0.0)
    return x0, x1, tl.load(place + 2, mask=in2, other=0.0)


@triton.jit
def _store_moments(total, squares, count, moments, part):
    mean = total / count
    tl.store(moments + part * 2, mean)
    tl.store(moments + part * 2 + 1, squares - mean * total)


@jit
def _moments(y, moments, size, parts, ELU: tl.constexpr, BLOCK: tl.constexpr):
    """Grid (parts, items): mean and sum of squared deviations of a part of an item's activations."""
    part, item = tl.program_id(0), tl.program_id(1)
    at = part * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    a = tl.load(y + item.to(tl.int64) * size + at, mask=inside, other=0.0).to(tl.float32)
    if ELU:
        a = _elu(a, _slope(a))
    a = tl.where(inside, a, 0.0)
    total, squares = _two_sums(a, a * a)
    _store_moments(total, squares, tl.minimum(BLOCK, size - part * BLOCK), moments, item * parts + part)


@triton.jit
def _high(x):
    """A float32 number's part that TF32 keeps."""
    return (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@jit
def _first_moments(
    image, w, bias, moments, rows, channels, rows_each,
    length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    ELU: tl.constexpr, EVEN: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (parts of the rows, items): as ``_moments``, where y is computed of an image. EVEN: tiles have no edges.

    y is one matrix product in TF32 with float32's accuracy. Its 16 columns are the three taps of the pixels' high, low and
    high parts, which meet the high, high and low parts of the weights, and ones, which meet the bias.
    """
    part, item = tl.program_id(0), tl.program_id(1)
    r, k, c = tl.arange(0, R)[:, None], tl.arange(0, 16), tl.arange(0, C)[None, :]
    here = c < channels
    weight = tl.load(w + c * 3 + (k % 3)[:, None], mask=here & (k < 9)[:, None], other=0.0)
    weight += tl.load(bias + c + 0 * k[:, None], mask=here & ((k == 9) | (k == 10))[:, None], other=0.0)
    low = ((k >= 6) & (k < 9)) | (k == 10)
    weight = tl.where(low[:, None], weight - _high(weight), _high(weight))
    image += item.to(tl.int64) * (rows // length_out * length_in)
    total = tl.zeros((R, C), tl.float32)
    squares = tl.zeros((R, C), tl.float32)
    end = tl.minimum((part + 1) * rows_each, rows)
    for start in range(part * rows_each, end, R):
        position = (start + r) % length_out * stride - before + (k % 3)[None, :]
        known = (start + r < end) & (k < 9)[None, :] & (position >= 0) & (position < length_in)
        pixels = tl.load(image + (start + r) // length_out * length_in + position, mask=known, other=0.0)
        pixels = tl.where(((k >= 3) & (k < 6))[None, :], pixels - _high(pixels), _high(pixels))
        pixels = tl.where((k >= 9)[None, :], 1.0, pixels)
        a = tl.dot(pixels, weight, input_precision="tf32")
        if ELU:
            a = _elu(a, _slope(a))
        if not EVEN:
            a = tl.where((start + r < end) & here, a, 0.0)
        total += a
        squares += a * a
    all_total, all_squares = _two_sums(total, squares)
    count = (end - part * rows_each) * channels
    _store_moments(all_total, all_squares, count, moments, item * tl.num_programs(0) + part)


@jit
def _join_moments(moments, mean_of, rstd_of, size, parts, per_part, epsilon, PARTS: tl.constexpr):
    """Grid (items): the mean and 1 / standard deviation of an item of ``size`` elements, from the moments of its parts."""
    item, part = tl.program_id(0), tl.arange(0, PARTS)
    here = moments + (item * parts + part) * 2
    means = tl.load(here, mask=part < parts, other=0.0)
    squares = tl.load(here + 1, mask=part < parts, other=0.0)
    count = tl.minimum(per_part, tl.maximum(size - part * per_part, 0)).to(tl.float32)
    mean = tl.sum(count * means) / size
    apart = means - mean
    tl.store(mean_of + item, mean)
    tl.store(rstd_of + item, 1.0 / tl.sqrt(tl.sum(squares + count * apart * apart) / size + epsilon))


@jit
def _normalise(
    source, w, bias, scale, shift, z, mean_of, rstd_of, items, per_group, size, channels, epsilon,
    length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    FIRST: tl.constexpr, ELU: tl.constexpr, WHOLE: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (tiles, groups of items): z of one tile of every item of a group.

    WHOLE: a tile is an item, so its mean and standard deviation are found here; otherwise they are given.
    """
    r, c, at, inside = _tile(size, channels, R, C)
    if FIRST:
        w0, w1, w2, b = _taps(w, bias, c, channels)
        place, in0, in1, in2 = _pixels(source, r, size // channels, length_in, length_out, stride, before)
        image_size = size // channels // length_out * length_in
    weight = tl.load(scale + at, mask=inside, other=0.0)
    offset = tl.load(shift + at, mask=inside, other=0.0)
    inverse = 1.0 / size
    first, end = _items_of_group(items, per_group)
    for item in tl.range(first, end, num_stages=3 if FIRST else 1):
        begin = tl.cast(item, tl.int64) * size
        if FIRST:
            x0, x1, x2 = _pixels_at(place + tl.cast(item, tl.int64) * image_size, in0, in1, in2)
            a = x0 * w0 + (x1 * w1 + (x2 * w2 + b))
        else:
            a = tl.load(source + begin + at, mask=inside, other=0.0).to(tl.float32)
        if ELU:
            a = _elu(a, _slope(a))
        if WHOLE:
            mean = tl.sum(tl.where(inside, a, 0.0)) * inverse
            apart = tl.where(inside, a - mean, 0.0)
            rstd = 1.0 / tl.sqrt(tl.sum(apart * apart) * inverse + epsilon)
            tl.store(mean_of + item, mean)
            tl.store(rstd_of + item, rstd)
        else:
            mean, rstd = tl.load(mean_of + item), tl.load(rstd_of + item)
        out = (a - mean) * rstd * weight + offset
        if not ELU:
            out = tl.maximum(out, 0.0)
        tl.store(z + begin + at, out.to(z.dtype.element_ty), mask=inside)


@jit
def _norm_sums(
    dz, source, w, bias, mean_of, rstd_of, scale, shift, dy, sums, of_norm, items, per_group, size, channels,
    parts,
    length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    FIRST: tl.constexpr, ELU: tl.constexpr, WHOLE: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (tiles, groups of items): a group's gradients of scale and shift, and what dy needs to know of whole items.

    That are two sums for each row of each tile. WHOLE: a tile is an item, so dy is written, and the bias gets its share.
    """
    r, c, at, inside = _tile(size, channels, R, C)
    if FIRST:
        w0, w1, w2, b = _taps(w, bias, c, channels)
        place, in0, in1, in2 = _pixels(source, r, size // channels, length_in, length_out, stride, before)
        image_size = size // channels // length_out * length_in
    weight = tl.load(scale + at, mask=inside, other=0.0)
    offset = tl.load(shift + at, mask=inside, other=0.0)
    of_scale = tl.zeros((R, C), tl.float32)
    of_shift = tl.zeros((R, C), tl.float32)
    of_bias = tl.zeros((R, C), tl.float32)
    inverse = 1.0 / size
    first, end = _items_of_group(items, per_group)
    for item in tl.range(first, end, num_stages=3):  # loads ahead: a third faster
        begin = tl.cast(item, tl.int64) * size
        gradient = tl.load(dz + begin + at, mask=inside, other=0.0).to(tl.float32)
        if FIRST:
            x0, x1, x2 = _pixels_at(place + tl.cast(item, tl.int64) * image_size, in0, in1, in2)
            y = x0 * w0 + (x1 * w1 + (x2 * w2 + b))
        else:
            y = tl.load(source + begin + at, mask=inside, other=0.0).to(tl.float32)
        a = y
        if ELU:
            slope = _slope(y)
            a = _elu(y, slope)
        rstd = tl.load(rstd_of + item)
        normal = (a - tl.load(mean_of + item)) * rstd
        if not ELU:
            gradient = tl.where(normal * weight + offset > 0, gradient, 0.0)
        of_scale += gradient * normal
        of_shift += gradient
        weighted = gradient * weight  # 0 outside
        if WHOLE:
            sum1, sum2 = _two_sums(weighted, weighted * normal)
            da = rstd * (weighted - sum1 * inverse - normal * (sum2 * inverse))
            if ELU:
                da = da * slope
            of_bias += tl.where(inside, da, 0.0)
            tl.store(dy + begin + at, da.to(dy.dtype.element_ty), mask=inside)
        else:
            row1, row2 = _two_row_sums(weighted, weighted * normal)
            here = sums + item * parts + tl.program_id(0) * R + tl.arange(0, R)
            tl.store(here, row1)
            tl.store(here + items * parts, row2)
    share = of_norm + tl.program_id(1) * size + at
    plane = tl.num_programs(1) * size
    tl.store(share, of_scale, mask=inside)
    tl.store(share + plane, of_shift, mask=inside)
    if WHOLE:
        tl.store(share + 2 * plane, of_bias, mask=inside)


@jit
def _norm_gradient(
    dz, source, w, bias, mean_of, rstd_of, scale, shift, sums, out, of_bias, items, per_group, size, channels,
    length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    FIRST: tl.constexpr, ELU: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (tiles, groups of items): dy of one tile of every item of a group, and the bias's share of the group.

    FIRST: instead the program's share of the gradients of the three taps and of the bias, (4, channels).
    """
    r, c, at, inside = _tile(size, channels, R, C)
    if FIRST:
        w0, w1, w2, b = _taps(w, bias, c, channels)
        place, in0, in1, in2 = _pixels(source, r, size // channels, length_in, length_out, stride, before)
        image_size = size // channels // length_out * length_in
        d0 = tl.zeros((R, C), tl.float32)
        d1 = tl.zeros((R, C), tl.float32)
        d2 = tl.zeros((R, C), tl.float32)
    of_all = tl.zeros((R, C), tl.float32)
    weight = tl.load(scale + at, mask=inside, other=0.0)
    offset = tl.load(shift + at, mask=inside, other=0.0)
    inverse = 1.0 / size
    first, end = _items_of_group(items, per_group)
    for item in range(first, end):
        begin = tl.cast(item, tl.int64) * size
        gradient = tl.load(dz + begin + at, mask=inside, other=0.0).to(tl.float32)
        if FIRST:
            x0, x1, x2 = _pixels_at(place + tl.cast(item, tl.int64) * image_size, in0, in1, in2)
            y = x0 * w0 + (x1 * w1 + (x2 * w2 + b))
        else:
            y = tl.load(source + begin + at, mask=inside, other=0.0).to(tl.float32)
        a = y
        if ELU:
            slope = _slope(y)
            a = _elu(y, slope)
        rstd = tl.load(rstd_of + item)
        mean1, mean2 = tl.load(sums + item) * inverse * rstd, tl.load(sums + items + item) * inverse * rstd
        normal = (a - tl.load(mean_of + item)) * rstd
        if not ELU:
            gradient = tl.where(normal * weight + offset > 0, gradient, 0.0)
        da = gradient * weight * rstd - (normal * mean2 + mean1)
        if ELU:
            da = da * slope
        da = tl.where(inside, da, 0.0)
        of_all += da
        if FIRST:
            d0 += da * x0
            d1 += da * x1
            d2 += da * x2
        else:
            tl.store(out + begin + at, da.to(out.dtype.element_ty), mask=inside)
    if FIRST:
        share = out + (tl.program_id(1) * tl.num_programs(0) + tl.program_id(0)) * 4 * channels
        channel = tl.arange(0, C)
        tl.store(share + channel, tl.sum(d0, axis=0), mask=channel < channels)
        tl.store(share + channels + channel, tl.sum(d1, axis=0), mask=channel < channels)
        tl.store(share + 2 * channels + channel, tl.sum(d2, axis=0), mask=channel < channels)
        tl.store(share + 3 * channels + channel, tl.sum(of_all, axis=0), mask=channel < channels)
    else:
        tl.store(of_bias + tl.program_id(1) * size + at, of_all, mask=inside)


# ---------------------------------------------------------------- convolutions as matrix products


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
            a = _elu(a, _slope(a))
        a_sum, squares = _two_sums(a, a * a)
        _store_moments(a_sum, squares, BM * BN, moments, tl.program_id(0))


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


# ---------------------------------------------------------------- what the host decides


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


@dataclass(frozen=True)
class Tiles:
    """How the elements of items are shared by the programs of the norm: ``tiles`` of (R, C), ``groups`` of items."""

    items: int
    size: int
    channels: int  # (rows, channels) of an item where y is computed; otherwise a tile is one row
    R: int
    C: int
    whole: bool = False
    per_thread: int = 8  # elements

    @classmethod
    def of(cls, items: int, size: int, first_channels: int | None = None, per_thread: int = 8) -> "Tiles":
        """Tiles of eight warps, or of whole items; for the first layer of whole rows of its channels."""
        if first_channels:
            c = triton.next_power_of_2(first_channels)
            return cls(items, size, first_channels, max(TILE // 8 * per_thread // c, 1), c, False, per_thread)
        if size <= WHOLE_ITEM:
            c = triton.next_power_of_2(size)
            return cls(items, size, c, 1, c, True)
        return cls(items, size, ROW, TILE // ROW, ROW)

    @property
    def tiles(self) -> int:
        """Tiles of an item."""
        return triton.cdiv(self.size, self.R * self.channels)

    @property
    def per_group(self) -> int:
        """Items of a group: as many as leave enough programs to fill a GPU."""
        return triton.cdiv(self.items, max((WHOLE_PROGRAMS if self.whole else NORM_PROGRAMS) // self.tiles, 1))

    @property
    def grid(self) -> tuple[int, int]:
        """(tiles, groups)."""
        return self.tiles, triton.cdiv(self.items, self.per_group)

    @property
    def options(self) -> dict:
        """What every kernel of the norm is compiled for."""
        return {"R": self.R, "C": self.C, "num_warps": min(max(self.R * self.C // (32 * self.per_thread), 1), 16)}


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


def convolve(x: Tensor, weight: Tensor, bias: Tensor, axis: Axis, elu: bool) -> tuple[Tensor, Tensor | None, int]:
    """(B, rows, c_in) -> y (B, rows, c_out), the moments (B, parts, 2) of its activations, and elements of a part.

    ``weight``: (c_out, 3 * c_in) in the dtype of x. No moments where a tile would hold rows of several items.
    """
    items, c_in, c_out = len(x), x.shape[-1], len(weight)
    rows = items * axis.rows
    bm, bn, bk = 128 if rows >= 2**14 else 64, power_of_two_in(c_out, 128), depth_of(x, c_in)
    y = torch.empty((items, axis.rows, c_out), dtype=x.dtype, device=x.device)
    moments = None
    if axis.rows % bm == 0 and axis.rows * c_out > WHOLE_ITEM:
        parts = axis.rows // bm * (c_out // bn)
        moments = torch.empty((items, parts, 2), dtype=torch.float32, device=x.device)
    _convolve[(triton.cdiv(rows, bm) * (c_out // bn),)](
        x, weight, bias, y, moments, rows, *axis.taps, axis.inner, *axis.place, c_in, c_out,
        MOMENTS=moments is not None, ELU=elu, PRECISION=factors(x), WIDE=wide(x, y), BM=bm, BN=bn, BK=bk,
        num_warps=warps_of(bm, bn), num_stages=3,
    )  # fmt: skip
    return y, moments, bm * bn


def moments_of(y: Tensor, size: int, elu: bool) -> tuple[Tensor, int]:
    """y (B, rows, channels) -> the moments (B, parts, 2) of its activations, and elements of a part."""
    parts = triton.cdiv(size, PART)
    moments = torch.empty((len(y), parts, 2), dtype=torch.float32, device=y.device)
    _moments[(parts, len(y))](y, moments, size, parts, ELU=elu, BLOCK=PART, num_warps=8)
    return moments, PART


def first_moments(image: Tensor, weight: Tensor, bias: Tensor, axis: Axis, elu: bool) -> tuple[Tensor, int]:
    """Images (B, F, T) -> ``moments_of`` what the first convolution makes of them."""
    channels = len(weight)
    c = triton.next_power_of_2(channels)
    r = max(PART // c, 16)
    each = triton.cdiv(triton.cdiv(axis.rows, FIRST_PARTS), r) * r
    parts = triton.cdiv(axis.rows, each)
    moments = torch.empty((len(image), parts, 2), dtype=torch.float32, device=image.device)
    _first_moments[(parts, len(image))](
        image, weight, bias, moments, axis.rows, channels, each, *axis.place,
        ELU=elu, EVEN=axis.rows % each == 0 and channels == c, R=r, C=c, num_warps=4,
    )  # fmt: skip
    return moments, each * channels


def input_gradient(dy: Tensor, weight: Tensor, axis: Axis) -> Tensor:
    """(B, rows, c_out) -> dx (B, rows of the input, c_in)."""
    items, c_out, c_in = len(dy), len(weight), weight.shape[1] // TAPS
    rows = items * axis.outer * triton.cdiv(axis.length_in + axis.before, axis.stride) * axis.inner
    bm, bn, bk = 128 if rows >= 2**14 else 64, power_of_two_in(c_in, 128), depth_of(dy, c_out)
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


# ---------------------------------------------------------------- a layer


def layer(x: Tensor, conv: nn.Module, norm: nn.Module, dtype: torch.dtype) -> Tensor:
    """x (B, F, T, c_in) -> z (B, F', T', c_out) of ``dtype``: ``norm(conv(x))`` of nafp.model.network's modules.

    An x of one channel is a float32 image that needs no gradient.
    """
    _, freq, time, _ = x.shape
    if conv.axis == 1:
        axis = Axis(1, time, freq, conv.out_length, conv.stride[0], conv.padding[2])
        shape = conv.out_length, time
    else:
        axis = Axis(freq, 1, time, conv.out_length, conv.stride[1], conv.padding[0])
        shape = freq, conv.out_length
    weights = conv.weight, conv.bias, norm.norm.weight, norm.norm.bias
    return Layer.apply(x, *weights, axis, shape, norm.release, norm.norm.eps, dtype)


class Layer(torch.autograd.Function):
    """``layer``."""

    @staticmethod
    def forward(ctx, x, weight, bias, scale, shift, axis: Axis, shape, elu: bool, epsilon: float, dtype):
        items, c_out = len(x), len(weight)
        shape_in, first = x.shape, x.shape[-1] == 1
        flat = weight.permute(0, 2, 3, 1).reshape(c_out, -1)  # (c_out, 3 * c_in): no copy
        tiles = Tiles.of(items, axis.rows * c_out, c_out if first else None)
        flags = {"FIRST": first, "ELU": elu}
        if first:
            source = x.float().contiguous()
        else:
            flat = flat.to(dtype)
            x = x.reshape(items, -1, x.shape[-1])
            source, moments, per_part = convolve(x, flat, bias, axis, elu)
        mean, rstd = torch.empty((2, items), dtype=torch.float32, device=x.device)
        if first:
            moments, per_part = first_moments(source, flat, bias, axis, elu)
        elif moments is None and not tiles.whole:
            moments, per_part = moments_of(source, tiles.size, elu)
        if moments is not None:
            parts = moments.shape[1]
            _join_moments[(items,)](
                moments, mean, rstd, tiles.size, parts, per_part, epsilon, PARTS=triton.next_power_of_2(parts)
            )
        z = torch.empty((items, axis.rows, c_out), dtype=dtype, device=x.device)
        cut = Tiles.of(items, tiles.size, c_out, per_thread=16) if first else tiles
        _normalise[cut.grid](
            source, flat, bias, scale, shift, z, mean, rstd, items, cut.per_group, cut.size, cut.channels, epsilon,
            *(axis.place if first else (1, 1, 1, 0)), WHOLE=cut.whole, **flags, **cut.options,
        )  # fmt: skip
        ctx.save_for_backward(None if first else x, source, flat, bias, scale, shift, mean, rstd)
        ctx.axis, ctx.tiles, ctx.flags, ctx.kernel, ctx.shape = axis, tiles, flags, weight.shape, shape_in
        return z.view(items, *shape, c_out)

    @staticmethod
    def backward(ctx, dz):
        x, source, flat, bias, scale, shift, mean, rstd = ctx.saved_tensors
        axis, tiles, flags = ctx.axis, ctx.tiles, ctx.flags
        items, c_out = len(source), len(flat)
        dz = dz.contiguous()
        groups = tiles.grid[1]
        place = axis.place if flags["FIRST"] else (1, 1, 1, 0)  # otherwise unused: no reason to compile anew
        common = (items, tiles.per_group, tiles.size, tiles.channels)
        of_norm = torch.empty((3, groups, tiles.size), dtype=torch.float32, device=dz.device)
        dy = None if flags["FIRST"] else torch.empty_like(source)
        parts = tiles.tiles * tiles.R
        sums = None if tiles.whole else torch.empty((2, items, parts), dtype=torch.float32, device=dz.device)
        _norm_sums[tiles.grid](
            dz, source, flat, bias, mean, rstd, scale, shift, dy, sums, of_norm, *common, parts, *place,
            WHOLE=tiles.whole, **flags, **tiles.options,
        )  # fmt: skip
        out = dy
        if flags["FIRST"]:
            out = torch.empty((groups * tiles.tiles, 4, c_out), dtype=torch.float32, device=dz.device)
        if not tiles.whole:
            _norm_gradient[tiles.grid](
                dz, source, flat, bias, mean, rstd, scale, shift, sums.sum(2), out, of_norm[2], *common, *place,
                **flags, **tiles.options,
            )  # fmt: skip
        dx = None
        if flags["FIRST"]:
            of_taps = out.sum(0)  # (4, c_out)
            dw, db = of_taps[:3].T.contiguous(), of_taps[3]
            dscale, dshift = of_norm[:2].sum(1)
        else:
            dscale, dshift, of_bias = of_norm.sum(1)
            db = of_bias.view(-1, c_out).sum(0)
            if ctx.needs_input_grad[0]:
                dx = input_gradient(dy, flat, axis).view(ctx.shape)
            dw = weight_gradient(x, dy, axis)
        dscale, dshift = dscale.view_as(scale), dshift.view_as(shift)
        c_in = ctx.kernel[1]
        dw = dw.reshape(c_out, *ctx.kernel[2:], c_in).permute(0, 3, 1, 2)
        return dx, dw, db, dscale, dshift, None, None, None, None, None
