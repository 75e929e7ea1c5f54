"""Resizing of a crop, fused with crop and flip: as OpenCV, whose ``INTER_AREA`` FFCV uses, or as Pillow.

OpenCV: 4.6, imgproc/src/resize.cpp. Pillow: its antialiased ``BILINEAR``, 13.0, libImaging/Resample.c.

Rows first: source rows are added into one row of the output's height, which stays in the cache, and that row is then
reduced to the output's width. Sums are floats in a fixed order: every machine and number of threads gets the same bits.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.intrinsics import weighted_pixel
from resnet_exp.data.kernels.jit import inlined, inner

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
# OpenCV ignores a smaller part of a source pixel.
LEAST = 1e-3
# Unsigned indices: for signed ones numba checks the sign each time, which takes half of the time of the inner loop.
ONE, TWO = np.uint64(1), np.uint64(2)


@inner
def area_taps(start: float, length: float, limit: int, first: Numbers, weights: Floats) -> int:
    """Weights of the source pixels under each output pixel of one axis.

    Args:
        start: where the crop starts, in source pixels; need not be whole.
        length: of the crop, in source pixels, at least as many as there are output pixels.
        limit: number of source pixels.
        first: for each output pixel, the first source pixel.
        weights: the weights, one output pixel after the other.

    Returns:
        Number of weights of each output pixel. All have the same, some of them zero, since a processor predicts the end
        of a loop whose length never changes.
    """
    scale = length / len(first)
    taps = min(limit, ceil(scale) + 1)
    for position in range(len(first)):
        low = start + position * scale
        high = low + scale
        left = floor(low + LEAST)
        right = max(left + 1, min(ceil(high - LEAST), limit))
        first[position], total = min(left, limit - taps), 0.0
        at = weights[position * taps : (position + 1) * taps]
        for tap in range(taps):
            pixel = first[position] + tap
            covered = min(high, pixel + 1.0) - max(low, float(pixel)) if left <= pixel < right else 0.0
            at[tap] = covered
            total += covered
        for tap in range(taps):
            at[tap] /= np.float32(total)
    return taps


@inner
def linear_taps(start: int, length: int, limit: int, first: Numbers, weights: Floats) -> int:
    """The same where an axis is enlarged: what ``INTER_AREA`` does then, a variant of bilinear interpolation."""
    # OpenCV's own order of operations: where a quotient is whole, the last bit decides between two pixels.
    enlarged = len(first) / length
    scale = 1 / enlarged
    taps = min(2, limit)
    for position in range(len(first)):
        left = min(floor(position * scale), length - 1)
        part = float(np.float32(position + 1 - (left + 1) * enlarged))
        part = 0.0 if part <= 0 or left == length - 1 else part - floor(part)
        first[position] = min(start + left, limit - taps)
        at = weights[position * taps : (position + 1) * taps]
        at[:] = 0
        at[start + left - first[position]] += np.float32(1 - part)
        if part > 0:
            at[start + left + 1 - first[position]] += np.float32(part)
    return taps


@inner
def bilinear_taps(start: float, length: float, low: int, high: int, first: Numbers, weights: Floats) -> int:
    """The same for Pillow's ``BILINEAR``: a triangle as wide as two output pixels, or two source pixels if enlarged.

    Source pixels from `low` to `high` are used.
    """
    scale = length / len(first)
    support = max(scale, 1.0)
    taps = min(high - low, ceil(2 * support))
    for position in range(len(first)):
        center = start + (position + 0.5) * scale
        first[position], total = max(low, min(floor(center - support + 0.5), high - taps)), 0.0
        at = weights[position * taps : (position + 1) * taps]
        for tap in range(taps):
            weight = max(0.0, 1 - abs(first[position] + tap + 0.5 - center) / support)
            at[tap] = weight
            total += weight
        for tap in range(taps):
            at[tap] /= np.float32(total)
    return taps


@inner
def add_rows(source: Pixels, stride: int, left: int, weights: Floats, row: Floats) -> None:
    """Weighted sum of source rows into `row`; `left` is where the first one starts in `source`, in bytes."""
    width, weight, pixels = len(row), weights[0], source[left : left + len(row)]
    for x in range(width):
        row[x] = weight * np.float32(pixels[x])
    for tap in range(1, len(weights)):
        weight = weights[tap]
        if weight == 0:
            continue
        begin = left + tap * stride
        pixels = source[begin : begin + width]
        for x in range(width):
            row[x] += weight * np.float32(pixels[x])


@inlined
def _shrink(row: Floats, left: int, first: Numbers, taps: int, weights: Floats, flip: bool, out: Pixels) -> None:
    size = len(first)
    for position in range(size):
        at, index = np.uint64(3 * (first[position] - left)), np.uint64(position * taps)
        to = np.uint64(3 * (size - 1 - position if flip else position))
        pixel = weighted_pixel(row, at, weights, index, taps)  # pyright: ignore[reportCallIssue]
        out[to], out[to + ONE], out[to + TWO] = pixel


@inner
def shrink_row(row: Floats, left: int, first: Numbers, taps: int, weights: Floats, flip: bool, out: Pixels) -> None:
    """Weighted sums of the pixels of `row` into `out`, both RGB.

    Args:
        row: its memory must extend one number beyond it.
        left: the source pixel that `row` starts with.
        first: for each output pixel, the first source pixel.
        taps: weights of each output pixel.
        weights: the weights, one output pixel after the other.
        flip: mirror left and right.
        out: the result.
    """
    # Constant lengths, for which the loops are unrolled: two thirds of the time.
    if taps == 2:
        _shrink(row, left, first, 2, weights, flip, out)
    elif taps == 3:
        _shrink(row, left, first, 3, weights, flip, out)
    elif taps == 4:
        _shrink(row, left, first, 4, weights, flip, out)
    else:
        _shrink(row, left, first, taps, weights, flip, out)
