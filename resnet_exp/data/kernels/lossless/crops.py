"""The part of a JPEG around a crop as a JPEG of its own: nothing is decoded.

Its codes are entered at points (`points`): those of an index, or those that are found on the way.

Where a piece of codes is left out, a unit is put in that no one sees (`filler`). Codes behind it are copied as they
are, with their stuffed bytes. The unit lies beside the window, to its left, or to its right if the window begins at the
left edge. A window there that does not begin at the top has a row of such units above it, since no place is left for
the first one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from resnet_exp.data.kernels.intrinsics import load_word
from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import COLORS, END_OF_IMAGE, Window, byte_at, copy_bytes, put_word
from resnet_exp.data.kernels.lossless.filler import CODES, LAST_BIT, UNIT_BYTES, put_unit, read_codes
from resnet_exp.data.kernels.lossless.header import MOST_ADDED, Header, no_header, rewrite
from resnet_exp.data.kernels.lossless.points import (
    BASIS,
    LEAST_VALUE,
    VALUE_BITS,
    VALUES,
    WORD_BYTES,
    Part,
    Words,
    checksum,
    locate_ends,
    unit_of,
)
from resnet_exp.data.kernels.lossless.restarts import SLACK, Memory, memory_for, prepare_tables, stuffed
from resnet_exp.data.kernels.lossless.units import WORD_BITS, Place
from resnet_exp.data.kernels.resize import Numbers, Pixels


class Tools(NamedTuple):
    """Memory that crops are cut out in."""

    tables: Pixels
    selected: Pixels
    codes: Numbers  # of each component
    piece: Pixels
    memory: Memory  # to find points in
    words: Words  # points that were found


def make_tools(height: int, width: int) -> Tools:
    """Memory for images of at most `height` x `width` pixels."""
    # A larger JPEG is decoded whole.
    memory = memory_for(height * width, writes=False)
    return Tools(
        tables=memory.tables,
        selected=memory.selected,
        codes=np.zeros((COLORS, 2 * CODES), np.int64),
        piece=np.empty(UNIT_BYTES * (max(height, width) // 8 + 4), np.uint8),
        memory=memory,
        words=np.empty(2 * -(-height // 8) + 1, np.uint64),
    )


def room_beside(height: int, width: int) -> int:
    """Bytes that a part may take beside those of its file: a header, and units that are put in."""
    return MOST_ADDED + 2 * UNIT_BYTES * (-(-height // 8) + -(-width // 8) + 4)


class _Points(NamedTuple):
    """Where the points of a part are."""

    address: int
    columns: int  # points of a row
    first_row: int  # that has points
    first: int  # of a row, where the part begins
    last: int  # of a row, where it ends


class _Output(NamedTuple):
    """Where the JPEG ends: whole bytes, and the highest bits of one more."""

    to: int
    used: int
    pending: int


@inner
def _flushed(tools: Tools, output: _Output, place: Place, out: Pixels) -> _Output:
    """Append the units that were put in."""
    to = stuffed(tools.piece, place.bit >> 3, out, output.to, len(out))
    return _Output(to, place.bit & LAST_BIT, int(np.int64(place.pending >> np.uint64(WORD_BITS - 8))))


@inlined
def _begun(output: _Output) -> Place:
    return Place(output.used, np.uint64(output.pending) << np.uint64(WORD_BITS - 8))


@inner
def _copied(data: Pixels, start: int, end: int, output: _Output, out: Pixels) -> _Output:
    """Append the codes from bit `start` to bit `end` of the file; the output must be at the same bit of a byte."""
    to, used, pending = output
    at, last, ahead = start >> 3, end >> 3, end & LAST_BIT
    keep = (0xFF << (8 - ahead)) & 0xFF
    if used > 0:
        merged = pending | (byte_at(data, at) & (0xFF >> used))
        if at == last:
            return _Output(to, ahead, merged & keep)
        out[to], to = merged, to + 1
        if merged == 0xFF:
            out[to], to = 0, to + 1
        at += 2 if data[at] == 0xFF else 1
    copy_bytes(out.ctypes.data + to, data.ctypes.data + at, last - at)
    return _Output(to + last - at, ahead, byte_at(data, last) & keep)


@inlined
def _point(points: int, number: int) -> int:
    return int(np.int64(load_word(points, WORD_BYTES * (1 + number))))


@inner
def _is_intact(points: Pixels, header: Header, columns: int, size: int) -> bool:
    """Whether the points are those of this header, and what was written."""
    count = header.rows * columns + 1
    if columns < 1 or columns > header.units or len(points) != WORD_BYTES * (1 + count):
        return False
    total, before = BASIS, 0
    for number in range(count):
        word = _point(points.ctypes.data, number)
        if word >> VALUES < before or (word >> VALUES) + 8 * header.codes > 8 * (size - 1):
            return False
        before, total = word >> VALUES, checksum(total, np.uint64(word))
    return total >> np.uint64(32) == load_word(points.ctypes.data, 0) & np.uint64(0xFFFFFFFF)


@inner
def _columns_of(need: Window, header: Header, columns: int) -> tuple[int, int]:
    """The points of a row between which a window lies."""
    first, last = 0, columns
    while unit_of(first + 1, columns, header.units) * header.unit_width <= need.left:
        first += 1
    while unit_of(last - 1, columns, header.units) * header.unit_width >= need.left + need.width:
        last -= 1
    return first, last


@inner
def _part_of(need: Window, header: Header) -> Part:
    """The units that cover a window."""
    high, wide = header.unit_height, header.unit_width
    return Part(
        need.top // high, -(-(need.top + need.height) // high), need.left // wide, -(-(need.left + need.width) // wide)
    )


@inner
def _header_of(data: Pixels, height: int, width: int, tools: Tools, out: Pixels) -> Header:
    """The header of a JPEG that parts can be cut out of, written to `out`; one of size 0 if they cannot."""
    if len(out) < len(data) + MOST_ADDED:
        return no_header()
    header = rewrite(data, tools.tables, tools.selected, out)
    if header.size == 0 or (header.height, header.width) != (height, width):
        return no_header()
    spare = len(out) - len(data) - MOST_ADDED
    if spare < 2 * UNIT_BYTES * (header.rows + header.units + 4):
        return no_header()
    for component in range(header.components):
        for kind in range(2):
            table = tools.tables[kind, int(np.int64(tools.selected[kind, component]))]
            if not read_codes(table, kind, tools.codes[component]):
                return no_header()
    return header


@inner
def _is_whole(part: Part, header: Header) -> bool:
    return part.last_row - part.first_row == header.rows and part.right - part.left == header.units


@inner
def skip(data: Pixels, height: int, width: int, need: Window, tools: Tools, out: Pixels) -> tuple[int, Window]:
    """Write a JPEG of the units that cover a window into `out`, without an index.

    Args:
        data: a JPEG. Its end must be there, but codes behind the window are not looked at.
        height: of its image, in pixels.
        width: likewise.
        need: what it must contain.
        tools: memory for an image of this size.
        out: memory for the result.

    Returns:
        As `extract`.
    """
    whole, end = Window(0, 0, height, width), len(data)
    memory = tools.memory
    if end + SLACK > len(memory.codes) or data[end - 2] != 0xFF or data[end - 1] != END_OF_IMAGE:
        return 0, whole
    header = _header_of(data, height, width, tools, out)
    if header.size == 0 or header.interval > 0 or not prepare_tables(memory, header):
        return 0, whole
    part = _part_of(need, header)
    if _is_whole(part, header) or not locate_ends(data, header, part, memory, tools.words):
        return 0, whole
    return _written(data, _Points(tools.words.ctypes.data, 2, part.first_row, 0, 1), header, part, tools, out)


@inner
def extract(
    data: Pixels, points: Pixels, height: int, width: int, need: Window, tools: Tools, out: Pixels
) -> tuple[int, Window]:
    """Write a JPEG of the units that cover a window into `out`.

    Args:
        data: a JPEG without restart markers.
        points: of it, as `resnet_exp.data.kernels.lossless.points` finds them, as bytes.
        height: of its image, in pixels.
        width: likewise.
        need: what it must contain.
        tools: memory for an image of this size.
        out: memory for the result.

    Returns:
        Its size in bytes, and what it contains; 0 and the whole image where the points are not those of the JPEG, or
        the whole is needed. Beside what is needed its pixels need not be those of the image.
    """
    whole = Window(0, 0, height, width)
    if len(points) < WORD_BYTES:
        return 0, whole
    header = _header_of(data, height, width, tools, out)
    columns = int(np.int64(load_word(points.ctypes.data, 0) >> np.uint64(32)))
    if header.size == 0 or not _is_intact(points, header, columns, len(data)):
        return 0, whole
    first, last = _columns_of(need, header, columns)
    rows = _part_of(need, header)
    part = Part(
        rows.first_row, rows.last_row, unit_of(first, columns, header.units), unit_of(last, columns, header.units)
    )
    if _is_whole(part, header):
        return 0, whole
    return _written(data, _Points(points.ctypes.data, columns, 0, first, last), header, part, tools, out)


@inner
def _written(
    data: Pixels, points: _Points, header: Header, part: Part, tools: Tools, out: Pixels
) -> tuple[int, Window]:
    left, right = part.left, part.right
    before, after = 1 if left > 0 else 0, 1 if left == 0 and right < header.units else 0
    above = 1 if left == 0 and part.first_row > 0 else 0
    units, zero = right - left + before + after, 0
    for _ in range(COLORS):
        zero = zero << VALUE_BITS | -LEAST_VALUE
    output, passed = _Output(header.size, 0, 0), zero
    if above:
        place = _begun(output)
        for _ in range(units - 1):
            place = put_unit(tools.codes, tools.piece, header, place, (zero, zero), -1)
        output = _flushed(tools, output, place, out)
    for row in range(part.first_row, part.last_row):
        number = (row - points.first_row) * points.columns
        start, end = _point(points.address, number + points.first), _point(points.address, number + points.last)
        begin, codes = start >> VALUES, 8 * header.codes
        # Rows as wide as the image follow each other in the file, and the first row of all follows nothing.
        if before or (above if row == part.first_row else after):
            place = put_unit(tools.codes, tools.piece, header, _begun(output), (passed, start), begin & LAST_BIT)
            output = _flushed(tools, output, place, out)
        output, passed = _copied(data, codes + begin, codes + (end >> VALUES), output, out), end
    if after:
        output = _flushed(
            tools, output, put_unit(tools.codes, tools.piece, header, _begun(output), (zero, zero), -1), out
        )
    to = output.to
    if output.used > 0:
        out[to], to = output.pending | (0xFF >> output.used), to + 1
        if out[to - 1] == 0xFF:
            out[to], to = 0, to + 1
    out[to], out[to + 1] = 0xFF, END_OF_IMAGE
    top = (part.first_row - above) * header.unit_height
    window = Window(
        top,
        (left - before) * header.unit_width,
        min(header.height, part.last_row * header.unit_height) - top,
        min(header.width, right * header.unit_width + after) - (left - before) * header.unit_width,
    )
    put_word(out, header.frame_at + 5, window.height)
    put_word(out, header.frame_at + 7, window.width)
    put_word(out, header.interval_at, 0)
    return to + 2, window
