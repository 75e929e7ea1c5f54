"""The header of a JPEG that is read here, and the one that it gets instead (ITU-T T.81, annex B)."""

from __future__ import annotations

from typing import NamedTuple

from resnet_exp.data.kernels.jit import inner
from resnet_exp.data.kernels.jpeg import (
    BASELINE,
    COLORS,
    EXTENDED,
    INTERVAL,
    MOST_PIXELS,
    START_OF_IMAGE,
    START_OF_SCAN,
    byte_at,
    copy_bytes,
    put_word,
    word_at,
)
from resnet_exp.data.kernels.lossless.huffman import BLOCK, FIRST, LENGTHS, OTHERS, TABLES, complete
from resnet_exp.data.kernels.resize import Pixels

HUFFMAN, QUANTIZATION, JFIF, ADOBE = 0xC4, 0xDB, 0xE0, 0xEE
# Segments without which a decoder makes other colors.
KEPT = (QUANTIZATION, JFIF, ADOBE)
# Bytes of what is written in place of dropped segments: an interval and eight tables.
MOST_ADDED = 6 + 2 * TABLES * (5 + LENGTHS + 256)


class Header(NamedTuple):
    """What is known from the header; sides in pixels, `units` of blocks that are coded together."""

    height: int
    width: int
    units: int  # in a row
    rows: int  # of units
    components: int
    unit_height: int  # in pixels
    unit_width: int
    luma: int  # blocks of the first component in a unit; the others have one each
    interval: int  # units between two restart markers; 0 without any
    codes: int  # where the first code begins, in the file
    frame_at: int  # where the frame's segment is written
    interval_at: int  # where the new interval is written
    size: int  # of the new header; 0 for a JPEG that is not read here


@inner
def no_header() -> Header:
    """Of a JPEG that is neither marked nor decoded here."""
    return Header(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


@inner
def rewrite(data: Pixels, tables: Pixels, selected: Pixels, out: Pixels) -> Header:
    """Write a new header to `out`: without metadata, with tables that have all first coefficients.

    Args:
        data: a JPEG.
        tables: gets its Huffman tables, by kind and number.
        selected: gets the numbers of the tables of each component, by kind.
        out: at least `MOST_ADDED` bytes more than `data`.
    """
    tables[:, :, :LENGTHS] = 0
    at, to, frame, frame_at, interval, known = 2, 2, 0, 0, 0, 0
    if len(data) < 4 or data[0] != 0xFF or data[1] != START_OF_IMAGE:
        return no_header()
    out[0], out[1] = 0xFF, START_OF_IMAGE
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = byte_at(data, at + 1)
        if marker == 0xFF:  # fill
            at += 1
            continue
        length = word_at(data, at + 2)
        end = at + 2 + length
        if length < 2 or end > len(data):
            break
        if marker == START_OF_SCAN:
            if frame == 0 or not _is_whole(data, at, length, frame, known):
                break
            return _written(data, at, frame, frame_at, interval, tables, selected, out, to)
        if marker == HUFFMAN:
            if not _read_tables(data, at + 4, end, tables):
                break
        elif marker == INTERVAL and length == 4:
            interval = word_at(data, at + 4)
        elif marker in (BASELINE, EXTENDED):
            if frame != 0 or not _is_plain(data, at, length):
                break
            frame, frame_at = at, to
        elif marker == QUANTIZATION:
            found = _quantization(data, at + 4, end)
            if found == 0:
                break
            known |= found
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            break
        if marker in KEPT or marker in (BASELINE, EXTENDED):
            copy_bytes(out.ctypes.data + to, data.ctypes.data + at, end - at)
            to += end - at
        at = end
    return no_header()


@inner
def _is_plain(data: Pixels, at: int, length: int) -> bool:
    """Whether a frame is of 8 bits, gray or of three components, of which only the first may have several blocks."""
    parts = byte_at(data, at + 9) if length > 7 else 0
    if parts not in (1, COLORS) or length != 8 + 3 * parts or data[at + 4] != 8:
        return False
    pixels = word_at(data, at + 5) * word_at(data, at + 7)
    if pixels == 0 or pixels > MOST_PIXELS:
        return False
    for part in range(parts):
        sampling = byte_at(data, at + 11 + 3 * part)
        if parts == COLORS and sampling != 0x11 and (part > 0 or sampling not in (0x21, 0x12, 0x22)):
            return False
    return True


@inner
def _is_whole(data: Pixels, at: int, length: int, frame: int, known: int) -> bool:
    """Whether a scan has everything of its frame; `known` has a bit for each quantization table."""
    parts = byte_at(data, frame + 9)
    if length != 6 + 2 * parts or byte_at(data, at + 4) != parts:
        return False
    for part in range(parts):
        table = byte_at(data, frame + 12 + 3 * part)
        if data[at + 5 + 2 * part] != data[frame + 10 + 3 * part] or table >= TABLES or not known & (1 << table):
            return False
    last = at + 5 + 2 * parts
    return data[last] == 0 and data[last + 1] == 63 and data[last + 2] == 0


@inner
def _quantization(data: Pixels, at: int, end: int) -> int:
    """A bit for each table that a segment defines; 0 if it is damaged."""
    known = 0
    while at < end:
        number, wide = byte_at(data, at) & 15, byte_at(data, at) >> 4
        if number >= TABLES or wide > 1:
            return 0
        known |= 1 << number
        at += 1 + BLOCK * (1 + wide)
    return known if at == end else 0


@inner
def _read_tables(data: Pixels, at: int, end: int, tables: Pixels) -> bool:
    while at + 1 + LENGTHS <= end:
        kind, number, count = byte_at(data, at) >> 4, byte_at(data, at) & 15, 0
        for length in range(LENGTHS):
            count += byte_at(data, at + 1 + length)
        if kind > OTHERS or number >= TABLES or count > 256 or at + 1 + LENGTHS + count > end:
            return False
        tables[kind, number, : LENGTHS + count] = data[at + 1 : at + 1 + LENGTHS + count]
        at += 1 + LENGTHS + count
    return at == end


@inner
def _written(
    data: Pixels, at: int, frame: int, frame_at: int, interval: int, tables: Pixels, selected: Pixels, out: Pixels,
    to: int,
) -> Header:  # fmt: skip
    """Write what comes before the codes: interval, tables, and the scan's segment, which begins at `at`."""
    parts, sampling, codes = byte_at(data, frame + 9), byte_at(data, frame + 11), at + 2 + word_at(data, at + 2)
    out[to], out[to + 1] = 0xFF, INTERVAL
    put_word(out, to + 2, 4)
    interval_at, to = to + 4, to + 6
    for part in range(parts):
        both = byte_at(data, at + 6 + 2 * part)
        selected[FIRST, part], selected[OTHERS, part] = both >> 4, both & 15
        if both >> 4 >= TABLES or both & 15 >= TABLES:
            return no_header()
    for kind in range(2):
        for number in range(TABLES):
            used = False
            for part in range(parts):
                used |= selected[kind, part] == number
            if used and kind == FIRST and not complete(tables[kind, number]):
                return no_header()
            if used:
                to = _put_table(kind, number, tables[kind, number], out, to)
    copy_bytes(out.ctypes.data + to, data.ctypes.data + at, codes - at)
    # A single component has blocks for units, whatever its sampling is.
    high, wide = (sampling & 15, sampling >> 4) if parts > 1 else (1, 1)
    height, width = word_at(data, frame + 5), word_at(data, frame + 7)
    units, rows = -(-width // (8 * wide)), -(-height // (8 * high))
    return Header(
        height, width, units, rows, parts, 8 * high, 8 * wide, high * wide, interval, codes, frame_at, interval_at,
        to + codes - at,
    )  # fmt: skip


@inner
def _put_table(kind: int, number: int, table: Pixels, out: Pixels, to: int) -> int:
    """Write a segment with a table; returns where it ends."""
    size = LENGTHS
    for length in range(LENGTHS):
        size += byte_at(table, length)
    out[to], out[to + 1], out[to + 4] = 0xFF, HUFFMAN, kind << 4 | number
    put_word(out, to + 2, 3 + size)
    out[to + 5 : to + 5 + size] = table[:size]
    return to + 5 + size
