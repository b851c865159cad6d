"""Kernels of activation and layer norm, both ways; of the first layer with its convolution, computed instead of stored."""

import triton
import triton.language as tl

from nafp.model.kernels.pieces import elu_from, elu_slope, jit, store_moments, two_row_sums, two_sums


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


@jit
def moments_kernel(y, moments, size, parts, ELU: tl.constexpr, BLOCK: tl.constexpr):
    """Grid (parts, items): mean and sum of squared deviations of a part of an item's activations."""
    part, item = tl.program_id(0), tl.program_id(1)
    at = part * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    a = tl.load(y + item.to(tl.int64) * size + at, mask=inside, other=0.0).to(tl.float32)
    if ELU:
        a = elu_from(a, elu_slope(a))
    a = tl.where(inside, a, 0.0)
    total, squares = two_sums(a, a * a)
    store_moments(total, squares, tl.minimum(BLOCK, size - part * BLOCK), moments, item * parts + part)


@triton.jit
def _high(x):
    """A float32 number's part that TF32 keeps."""
    return (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@jit
def first_moments_kernel(
    image, w, bias, moments, rows, channels, rows_each,
    length_in: tl.constexpr, length_out: tl.constexpr, stride: tl.constexpr, before: tl.constexpr,
    ELU: tl.constexpr, EVEN: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """Grid (parts of the rows, items): as ``moments_kernel``, where y is computed of an image. EVEN: tiles have no edges.

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
            a = elu_from(a, elu_slope(a))
        if not EVEN:
            a = tl.where((start + r < end) & here, a, 0.0)
        total += a
        squares += a * a
    all_total, all_squares = two_sums(total, squares)
    count = (end - part * rows_each) * channels
    store_moments(all_total, all_squares, count, moments, item * tl.num_programs(0) + part)


@jit
def join_moments_kernel(moments, mean_of, rstd_of, size, parts, per_part, epsilon, PARTS: tl.constexpr):
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
def normalise_kernel(
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
            a = elu_from(a, elu_slope(a))
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
def norm_sums_kernel(
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
            slope = elu_slope(y)
            a = elu_from(y, slope)
        rstd = tl.load(rstd_of + item)
        normal = (a - tl.load(mean_of + item)) * rstd
        if not ELU:
            gradient = tl.where(normal * weight + offset > 0, gradient, 0.0)
        of_scale += gradient * normal
        of_shift += gradient
        weighted = gradient * weight  # 0 outside
        if WHOLE:
            sum1, sum2 = two_sums(weighted, weighted * normal)
            da = rstd * (weighted - sum1 * inverse - normal * (sum2 * inverse))
            if ELU:
                da = da * slope
            of_bias += tl.where(inside, da, 0.0)
            tl.store(dy + begin + at, da.to(dy.dtype.element_ty), mask=inside)
        else:
            row1, row2 = two_row_sums(weighted, weighted * normal)
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
def norm_gradient_kernel(
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
            slope = elu_slope(y)
            a = elu_from(y, slope)
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
