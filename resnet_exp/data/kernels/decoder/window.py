"""The part of a baseline JPEG that a crop needs, decoded to pixels.

Codes are read from their beginning, from points of an index (`resnet_exp.data.kernels.lossless.points`), or from
restart markers, whichever are there. Of units beside the crop, only the codes are passed.
"""

from __future__ import annotations

import numpy as np

from resnet_exp.data.kernels.decoder.coefficients import read_block
from resnet_exp.data.kernels.decoder.pixels import put_pixels
from resnet_exp.data.kernels.decoder.ready import (
    BLOCK_SIDE,
    FACTORS,
    PLANE,
    STRIDE,
    Decoder,
    lay_out,
    read_header,
    value_at,
)
from resnet_exp.data.kernels.decoder.transform import (
    SIDE,
    transform_eighth,
    transform_fast,
    transform_half,
    transform_quarter,
    transform_whole,
)
from resnet_exp.data.kernels.intrinsics import load_word, store_word
from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import (
    COLORS,
    END_OF_IMAGE,
    FIRST_RESTART,
    LEAST_WIDTH,
    RESTARTS,
    Window,
    copy_bytes,
    find_byte,
    next_marker,
)
from resnet_exp.data.kernels.lossless.header import Header
from resnet_exp.data.kernels.lossless.points import (
    LEAST_VALUE,
    VALUE_BITS,
    VALUES,
    Part,
    is_intact,
    point_at,
    unit_of,
)
from resnet_exp.data.kernels.lossless.restarts import unstuffed
from resnet_exp.data.kernels.lossless.units import (
    VALUE_BYTES,
    Bits,
    Place,
    Work,
    first_bits,
    pass_unit,
    passed,
    position,
)
from resnet_exp.data.kernels.resize import Pixels


@inlined
def _decode_unit(
    work: Work, header: Header, order: int, block: int, fast: bool, bits: Bits, row: int, column: int
) -> tuple[bool, Bits]:
    """Read a unit, and make the pixels of its blocks."""
    for component in range(header.components):
        values = work.values + VALUE_BYTES * component
        factors, plane, stride = value_at(values, FACTORS), value_at(values, PLANE), value_at(values, STRIDE)
        side = value_at(values, BLOCK_SIDE)
        high, wide = (header.unit_height // SIDE, header.unit_width // SIDE) if component == 0 else (1, 1)
        for above in range(high):
            for left in range(wide):
                good, bits = read_block(work, order, bits, values, block)
                if not good:
                    return False, bits
                to = plane + (row * high + above) * side * stride + (column * wide + left) * side
                if side == SIDE and fast:
                    transform_fast(block, factors, to, stride)
                elif side == SIDE:
                    transform_whole(block, factors, to, stride)
                elif side == SIDE // 2:
                    transform_half(block, factors, to, stride)
                elif side == SIDE // 4:
                    transform_quarter(block, factors, to, stride)
                else:
                    transform_eighth(block, factors, to, stride)
    return True, bits


@inner
def _decode_units(
    header: Header, part: Part, fast: bool, decoder: Decoder, work: Work, size: int, skipped: int, row: int,
    column: int, count: int,
) -> bool:  # fmt: skip
    """Decode what the part has of `count` units; their codes are `size` bytes, the first bits of which are skipped."""
    order, block = decoder.order.ctypes.data, decoder.block.ctypes.data
    bits = passed(work.codes, first_bits(work.codes), skipped)
    for _ in range(count):
        if row >= part.first_row and part.left <= column < part.right:
            good, bits = _decode_unit(work, header, order, block, fast, bits, row - part.first_row, column - part.left)
        else:
            good, bits, _, _ = pass_unit(work, header, bits, 0, Place(0, np.uint64(0)), False)
        if not good or position(bits) > 8 * size:
            decoder.block[:] = 0
            return False
        column += 1
        if column == header.units:
            row, column = row + 1, 0
    return True


@inlined
def _is_needed(part: Part, units: int, row: int, column: int, count: int) -> bool:
    """Whether the part has any of `count` units."""
    while count > 0:
        here = min(count, units - column)
        if part.first_row <= row < part.last_row and column < part.right and column + here > part.left:
            return True
        row, column, count = row + 1, 0, count - here
    return False


@inner
def _decode_pieces(data: Pixels, header: Header, part: Part, fast: bool, decoder: Decoder, work: Work) -> bool:
    """Decode what is between restart markers, or all of the codes if there are none."""
    units = header.units
    total, last = units * header.rows, (part.last_row - 1) * units + part.right
    interval = header.interval if header.interval > 0 else total
    at, restarts, row, column = header.codes, 0, 0, 0
    for first in range(0, last, interval):
        count = min(interval, total - first)
        if _is_needed(part, units, row, column, count):
            size, marker = unstuffed(data, at, decoder.memory.codes)
            for component in range(header.components):
                store_word(work.values, VALUE_BYTES * component, np.uint64(0))
            used = min(count, last - first)
            if not _decode_units(header, part, fast, decoder, work, size, 0, row, column, used):
                return False
        else:
            marker = next_marker(data, at) + 1
        expected = END_OF_IMAGE if first + count == total else FIRST_RESTART + restarts % RESTARTS
        if marker < 1 or marker >= len(data) or data[marker] != expected:
            return False
        at, restarts, column = marker + 1, restarts + 1, column + count
        while column >= units:
            row, column = row + 1, column - units
    return True


@inner
def _gather(data: Pixels, at: int, end: int, codes: Pixels) -> int:
    """Copy codes without their stuffed bytes; returns how many bytes they are."""
    base, size = data.ctypes.data, 0
    while at < end:
        found = find_byte(base + at, 0xFF, end - at)
        last = end if found == 0 else int(np.int64(found - base)) + 1
        copy_bytes(codes.ctypes.data + size, base + at, last - at)
        size, at = size + last - at, last + 1
    return size


@inner
def _decode_rows(
    data: Pixels, points: Pixels, header: Header, part: Part, fast: bool, decoder: Decoder, work: Work
) -> bool:
    """Decode the units of a part between points of an index."""
    columns = int(np.int64(load_word(points.ctypes.data, 0) >> np.uint64(32)))
    first, last = 0, columns
    while unit_of(first + 1, columns, header.units) <= part.left:
        first += 1
    while unit_of(last - 1, columns, header.units) >= part.right:
        last -= 1
    for row in range(part.first_row, part.last_row):
        start = point_at(points.ctypes.data, row * columns + first)
        end = point_at(points.ctypes.data, row * columns + last)
        begin = header.codes + (start >> VALUES + 3)
        size = _gather(data, begin, header.codes + (end >> VALUES + 3) + 1, decoder.memory.codes)
        for component in range(header.components):
            value = (start >> VALUE_BITS * (COLORS - 1 - component)) & ((1 << VALUE_BITS) - 1)
            store_word(work.values, VALUE_BYTES * component, np.uint64(value + LEAST_VALUE))
        unit, skipped = unit_of(first, columns, header.units), (start >> VALUES) & 7
        if not _decode_units(header, part, fast, decoder, work, size, skipped, row, unit, part.right - unit):
            return False
    return True


@inner
def _part_of(need: Window, header: Header) -> Part:
    """The units that cover a window."""
    high, wide = header.unit_height, header.unit_width
    return Part(
        need.top // high, -(-(need.top + need.height) // high), need.left // wide, -(-(need.left + need.width) // wide)
    )


@inner
def decode(
    data: Pixels, points: Pixels, shape: tuple[int, int], need: Window, scale: int, fast: bool, decoder: Decoder,
    spare: Pixels, out: Pixels,
) -> tuple[bool, Window]:  # fmt: skip
    """Decode the units that cover a window.

    Args:
        data: a JPEG.
        points: of it, as `resnet_exp.data.kernels.lossless.points` finds them, as bytes; empty without any.
        shape: height and width of its image, in pixels.
        need: what must be decoded, in pixels of the image.
        scale: eighths of the size at which it is decoded: 8, 4, 2 or 1.
        fast: with the fast transform where it is not made smaller, as FFCV does; or else as Pillow.
        decoder: memory for an image of this size.
        spare: likewise, of `MOST_ADDED` bytes more than `data`.
        out: gets the pixels, RGB, row by row; `BEYOND` bytes more than they take.

    Returns:
        Whether it could be decoded, and what is in `out`, in pixels of the image at that scale. Beside what is needed,
        pixels need not be those of the image.
    """
    height, width = shape
    nothing = Window(0, 0, 0, 0)
    header = read_header(data, height, width, decoder, spare)
    # Colors that are narrower, or of one pixel a block, are enlarged in another way.
    if header.size == 0 or width * scale < SIDE * LEAST_WIDTH or (scale == 1 and header.luma == 2):
        return False, nothing
    part = _part_of(need, header)
    lay_out(header, part, scale, fast, decoder, spare)
    memory = decoder.memory
    work = Work(memory.codes.ctypes.data, 0, memory.entries.ctypes.data, memory.values.ctypes.data)
    if is_intact(points, header, len(data)):
        good = _decode_rows(data, points, header, part, fast, decoder, work)
    else:
        good = _decode_pieces(data, header, part, fast, decoder, work)
    if not good:
        return False, nothing
    top, left = part.first_row * header.unit_height * scale // SIDE, part.left * header.unit_width * scale // SIDE
    bottom = min(-(-height * scale // SIDE), part.last_row * header.unit_height * scale // SIDE)
    right = min(-(-width * scale // SIDE), part.right * header.unit_width * scale // SIDE)
    place = Window(top, left, bottom - top, right - left)
    put_pixels(header, part, place, decoder, out)
    return True, place
