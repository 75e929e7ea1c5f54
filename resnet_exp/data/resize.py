"""Area-exact resizing of a crop, fused with crop and flip: OpenCV's ``INTER_AREA`` (4.6, imgproc/src/resize.cpp).

Rows first: source rows are added into one row of the output's height, which stays in the cache, and that row is then
reduced to the output's width. Sums are floats in a fixed order: every machine and number of threads gets the same bits.
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
import numpy.typing as npt

from resnet_exp.data.compiled import inner

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]
# OpenCV drops the part of a source pixel that is smaller.
LEAST = 1e-3


@inner
def area_taps(start: float, length: float, limit: int, first: Numbers, ends: Numbers, weights: Floats) -> None:
    """Weights of the source pixels under each output pixel of one axis.

    Args:
        start: where the crop starts, in source pixels; need not be whole.
        length: of the crop, in source pixels, at least as many as there are output pixels.
        limit: number of source pixels.
        first: for each output pixel, the first source pixel.
        ends: for each output pixel, where its weights end in `weights`.
        weights: the weights, one output pixel after the other.
    """
    scale, used = length / len(first), 0
    for position in range(len(first)):
        low = start + position * scale
        high = low + scale
        left = floor(low + LEAST)
        right = max(left + 1, min(ceil(high - LEAST), limit))
        first[position], begin, total = left, used, 0.0
        for pixel in range(left, right):
            covered = min(high, pixel + 1.0) - max(low, float(pixel))
            weights[used] = covered
            total += covered
            used += 1
        for tap in range(begin, used):
            weights[tap] /= np.float32(total)
        ends[position] = used


@inner
def linear_taps(start: int, length: int, first: Numbers, ends: Numbers, weights: Floats) -> None:
    """The same where an axis is enlarged: what ``INTER_AREA`` does then, a variant of bilinear interpolation."""
    # OpenCV's own order of operations: where a quotient is whole, the last bit decides between two pixels.
    enlarged = len(first) / length
    scale = 1 / enlarged
    for position in range(len(first)):
        left = floor(position * scale)
        part = float(np.float32(position + 1 - (left + 1) * enlarged))
        part = 0.0 if part <= 0 else part - floor(part)
        if left >= length - 1:
            # The last pixel has no neighbour; two taps all the same.
            left, part = max(0, length - 2), 1.0 if length > 1 else 0.0
        first[position], ends[position] = start + left, 2 * position + 2
        weights[2 * position], weights[2 * position + 1] = 1 - part, part


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
        left += stride
        pixels = source[left : left + width]
        for x in range(width):
            row[x] += weight * np.float32(pixels[x])


@inner
def shrink_row(row: Floats, left: int, first: Numbers, ends: Numbers, weights: Floats, flip: bool, out: Pixels) -> None:
    """Weighted sums of the pixels of `row` into `out`, both RGB; `left` is the source pixel that `row` starts with."""
    size, tap = len(first), 0
    for position in range(size):
        red = green = blue = np.float32(0.5)
        at = 3 * (first[position] - left)
        for index in range(tap, ends[position]):
            weight = weights[index]
            if weight != 0:
                red += weight * row[at]
                green += weight * row[at + 1]
                blue += weight * row[at + 2]
            at += 3
        tap = ends[position]
        to = 3 * (size - 1 - position if flip else position)
        out[to], out[to + 1], out[to + 2] = np.uint8(red), np.uint8(green), np.uint8(blue)
