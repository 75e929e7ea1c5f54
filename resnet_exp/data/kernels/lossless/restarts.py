"""Restart markers put into a JPEG without loss, as ``jpegtran -restart`` does it.

Between two markers the first coefficient of each block is coded as the difference from that of the block before it, all
others by themselves. So the codes of the others are copied bit by bit, and the first ones are coded anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from resnet_exp.data.kernels.intrinsics import store_word
from resnet_exp.data.kernels.jit import inner, kernel, sources_digest
from resnet_exp.data.kernels.jpeg import (
    COLORS,
    END_OF_IMAGE,
    FIRST_RESTART,
    RESTARTS,
    copy_bytes,
    find_byte,
    put_word,
)
from resnet_exp.data.kernels.lossless.header import MOST_ADDED, Header, rewrite
from resnet_exp.data.kernels.lossless.huffman import (
    OTHERS,
    ROOM,
    TABLE_BYTES,
    TABLES,
    Entries,
    base_of,
    prepare,
)
from resnet_exp.data.kernels.lossless.numbers import PAIR_BITS, Pairs, prepare_numbers
from resnet_exp.data.kernels.lossless.units import (
    VALUE_BYTES,
    WORD_BITS,
    Place,
    Work,
    copied_to,
    first_bits,
    pass_unit,
    position,
    put,
    reset,
)
from resnet_exp.data.kernels.resize import Numbers, Pixels

# More bytes than this share of the file are not worth it: markers are put farther apart.
MOST_GROWTH = 0.03
# Bytes that a marker takes: two, half a byte before it that is filled up, and larger differences.
MARKER_BYTES = 4
# No table begins with this many codes of one bit.
NO_TABLE = 255
WIDEST, MOST_INTERVAL = 8, 2**16 - 1
# Bytes beyond the codes: a broken file may have too few of them for a unit, and words are read and written whole.
SLACK = 2**14


class Memory(NamedTuple):
    """What one JPEG after the other is worked on in."""

    out: Pixels
    codes: Pixels  # of the file, without its stuffed bytes
    piece: Pixels  # between two new markers, without stuffed bytes
    tables: Pixels
    last: Pixels  # those that `entries` are made of
    selected: Pixels
    entries: Entries
    numbers: Pairs  # of each table of other coefficients; none where coefficients are not read
    values: Numbers


@inner
def unstuffed(data: Pixels, at: int, codes: Pixels) -> tuple[int, int]:
    """Copy codes up to the next marker into `codes`; returns their bytes, and where the marker's second byte is.

    A marker that is missing is at the end of the file.
    """
    size = 0
    while at < len(data):
        found = find_byte(data.ctypes.data + at, 0xFF, len(data) - at)
        end = len(data) - 1 if found == 0 else int(np.int64(found - data.ctypes.data))
        if end + 1 >= len(data):
            return 0, len(data)
        stuffed = data[end + 1] == 0
        count = end - at + (1 if stuffed else 0)
        copy_bytes(codes.ctypes.data + size, data.ctypes.data + at, count)
        size, at = size + count, end + 2
        if not stuffed:
            while at < len(data) and data[at - 1] == 0xFF:  # fill
                at += 1
            return size, at - 1
    return 0, len(data)


@inner
def stuffed(piece: Pixels, size: int, out: Pixels, to: int, end: int) -> int:
    """Append the bytes of a piece to `out`; returns where they end, -1 if that is beyond `end`."""
    at = 0
    while at < size:
        found = find_byte(piece.ctypes.data + at, 0xFF, size - at)
        count = size - at if found == 0 else int(np.int64(found - piece.ctypes.data)) + 1 - at
        if to + count + 1 > end:
            return -1
        copy_bytes(out.ctypes.data + to, piece.ctypes.data + at, count)
        at, to = at + count, to + count
        if found != 0:
            out[to] = 0
            to += 1
    return to


@inner
def _marked(data: Pixels, header: Header, interval: int, memory: Memory, most: int) -> int:
    """Write the codes with a marker after each `interval` units; returns the bytes in all.

    0: the file is damaged; -1: they are more than `most`.
    """
    out, codes, units = memory.out, memory.codes, header.units * header.rows
    address = memory.values.ctypes.data
    work = Work(codes.ctypes.data, memory.piece.ctypes.data, memory.entries.ctypes.data, address)
    theirs = header.interval if header.interval > 0 else units
    size, marker = unstuffed(data, header.codes, codes)
    bits, copied, place = first_bits(work.codes), 0, Place(0, np.uint64(0))
    to, pieces, restarts = header.size, 0, 0
    reset(work, True, True)
    for unit in range(1, units + 1):
        first = (unit - 1) % interval == 0 or (unit - 1) % theirs == 0
        good, bits, copied, place = pass_unit(work, header, bits, copied, place, first)
        bit = position(bits)
        if not good or bit > 8 * size:
            return 0
        ends, theirs_end = unit == units or unit % interval == 0, unit == units or unit % theirs == 0
        if ends or theirs_end:
            place, copied = copied_to(work, copied, bit, place), bit
        if theirs_end:
            expected = END_OF_IMAGE if unit == units else FIRST_RESTART + restarts % RESTARTS
            if 8 * size - bit >= 8 or marker >= len(data) or data[marker] != expected:
                return 0
            if unit < units:
                size, marker = unstuffed(data, marker + 1, codes)
                bits, copied, restarts = first_bits(work.codes), 0, restarts + 1
        if ends:
            rest = -place.bit & 7
            if rest > 0:
                place = put(work.piece, place, np.uint64((1 << rest) - 1) << (WORD_BITS - rest), rest)
            to = stuffed(memory.piece, place.bit >> 3, out, to, most - 2)
            if to < 0:
                return -1
            out[to], out[to + 1] = 0xFF, END_OF_IMAGE if unit == units else FIRST_RESTART + pieces % RESTARTS
            place, to, pieces = Place(0, np.uint64(0)), to + 2, pieces + 1
        if ends or theirs_end:
            reset(work, theirs_end, ends)
    return to


@inner
def _finest(units: int) -> int:
    """As `resnet_exp.data.conversion.encode.restart_interval` has it, of units in a row."""
    for interval in range(2, WIDEST + 1):
        if units % interval == 0:
            return interval
    return 1


@inner
def _prepared(memory: Memory, kind: int, number: int) -> bool:
    """Prepare a table, unless it is that of the last JPEG, as it is in most."""
    table, last = memory.tables[kind, number], memory.last[kind, number]
    same = 0
    for place in range(TABLE_BYTES):
        same += table[place] == last[place]
    if same == TABLE_BYTES:
        return True
    good = prepare(memory.entries, kind, number, table)
    if good and kind == OTHERS and len(memory.numbers) > 0:
        prepare_numbers(memory.numbers[number << PAIR_BITS : (number + 1) << PAIR_BITS], table)
    for place in range(TABLE_BYTES):
        last[place] = table[place] if good else NO_TABLE
    return good


@inner
def prepare_tables(memory: Memory, header: Header) -> bool:
    """Make the tables of a JPEG ready to read its codes; False if they cannot be."""
    for component in range(header.components):
        for kind in range(2):
            number = int(np.int64(memory.selected[kind, component]))
            if not _prepared(memory, kind, number):
                return False
            place, base = VALUE_BYTES * component + 8 * (2 + kind), np.uint64(base_of(kind, number))
            store_word(memory.values.ctypes.data, place, base)
        number = int(np.int64(memory.selected[OTHERS, component]))
        address = memory.numbers.ctypes.data + (number << PAIR_BITS) * memory.numbers.itemsize
        store_word(memory.values.ctypes.data, VALUE_BYTES * component + 32, np.uint64(address))
    return True


def _make_mark(sources: str) -> Callable[..., tuple[int, int, int]]:
    def mark(data: Pixels, memory: Memory) -> tuple[int, int, int]:
        """Write a JPEG with restart markers in every row of units into ``memory.out``.

        Args:
            data: a JPEG.
            memory: to work in; `memory_for` says how large.

        Returns:
            Its size in bytes, height and width; zeros if it cannot be marked, or would grow too much.
        """
        header = rewrite(data, memory.tables, memory.selected, memory.out)
        # The digest must be a variable of the closure; see `kernel`.
        if header.size == 0 or len(sources) == 0:
            return 0, 0, 0
        if not prepare_tables(memory, header):
            return 0, 0, 0
        most = int(len(data) * (1 + MOST_GROWTH))
        for interval in range(_finest(header.units), min(header.units, MOST_INTERVAL) + 1):
            markers = header.units * header.rows // interval
            if header.units % interval > 0 or markers * MARKER_BYTES > MOST_GROWTH * len(data):
                continue
            put_word(memory.out, header.interval_at, interval)
            size = _marked(data, header, interval, memory, most)
            if size >= 0:
                return size, header.height, header.width
        return 0, 0, 0

    return kernel(mark)


mark = _make_mark(sources_digest())


def memory_for(size: int, writes: bool = True) -> Memory:
    """Memory for JPEGs of at most `size` bytes; without `writes` they are only read, and their coefficients, too."""
    return Memory(
        out=np.empty(2 * size + MOST_ADDED if writes else 0, np.uint8),
        codes=np.empty(size + SLACK, np.uint8),
        # A first coefficient may take more bits than it had after a marker of the file.
        piece=np.empty(4 * size + SLACK if writes else 0, np.uint8),
        tables=np.zeros((2, TABLES, TABLE_BYTES), np.uint8),
        last=np.full((2, TABLES, TABLE_BYTES), NO_TABLE, np.uint8),
        selected=np.zeros((2, COLORS), np.uint8),
        entries=np.zeros(2 * TABLES * ROOM, np.int32),
        numbers=np.zeros(0 if writes else TABLES << PAIR_BITS, np.int64),
        values=np.zeros(VALUE_BYTES // 8 * COLORS, np.int64),
    )
