"""Points of a JPEG at which its codes can be entered: an index that is kept beside a file that may not be touched.

What a point must say is where its unit's codes begin, and the first coefficients before it, from which those of the
unit differ. The points of a JPEG are words of 64 bits, the highest byte first:

- points in a row of units in the upper half, and a checksum of all that follow in the lower one;
- the points, row by row, point `n` of a row at unit ``n * units // points``, and one at the end of the codes. The bit
  in the file, counted from its first code, is above `VALUES` bits for the first coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.intrinsics import load_word
from resnet_exp.data.kernels.jit import inlined, inner, kernel, sources_digest
from resnet_exp.data.kernels.jpeg import COLORS, END_OF_IMAGE, find_byte
from resnet_exp.data.kernels.lossless.header import Header, rewrite
from resnet_exp.data.kernels.lossless.restarts import Memory, prepare_tables, unstuffed
from resnet_exp.data.kernels.lossless.units import VALUE_BYTES, Place, Work, first_bits, pass_unit, position, reset
from resnet_exp.data.kernels.resize import Pixels

Words = npt.NDArray[np.uint64]
WORD_BYTES = 8
# Of the file's bytes, what an index may take: points, and two words in a table.
MOST_SHARE, TABLE_WORDS = 0.02, 2
# Bits of a first coefficient, and of all of a point. They are of images of 8 bits, between -1024 and 1023.
VALUE_BITS, LEAST_VALUE = 11, -1024
VALUES = VALUE_BITS * COLORS
MOST_BIT = 2**30
# Of FNV, whose checksum it is (of words instead of bytes).
BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


class Part(NamedTuple):
    """Units of a JPEG: rows of them, and what of each row."""

    first_row: int
    last_row: int
    left: int
    right: int


@inlined
def checksum(total: np.uint64, word: np.uint64) -> np.uint64:
    """The checksum of one more word; it begins with `BASIS`, and its upper half is kept."""
    return (total ^ word) * PRIME


@inlined
def unit_of(point: int, points: int, units: int) -> int:
    """The unit of a row that a point is at."""
    return point * units // points


@inner
def _packed(values: int, bit: int) -> int:
    """A point; -1 if its first coefficients are out of range."""
    word = bit
    for component in range(COLORS):
        value = int(np.int64(load_word(values, VALUE_BYTES * component))) - LEAST_VALUE
        if value < 0 or value >> VALUE_BITS:
            return -1
        word = word << VALUE_BITS | value
    return word


@inner
def _found(data: Pixels, header: Header, points: int, memory: Memory, out: Words) -> bool:
    """Fill `out` with points whose bits are counted without stuffed bytes; False if the file is damaged."""
    address = memory.values.ctypes.data
    work = Work(memory.codes.ctypes.data, memory.piece.ctypes.data, memory.entries.ctypes.data, address)
    size, marker = unstuffed(data, header.codes, memory.codes)
    reset(work, True, True)
    bits, at = first_bits(work.codes), 1
    for _ in range(header.rows):
        point = 0
        for unit in range(header.units):
            if unit == unit_of(point, points, header.units):
                word = _packed(address, position(bits))
                if word < 0:
                    return False
                out[at], at, point = word, at + 1, point + 1
            good, bits, _, _ = pass_unit(work, header, bits, 0, Place(0, np.uint64(0)), False)
            if not good or position(bits) > 8 * size:
                return False
    word = _packed(address, position(bits))
    out[at] = word
    rest = 8 * size - position(bits)
    return word >= 0 and rest < 8 and marker < len(data) and data[marker] == END_OF_IMAGE


@inlined
def point_at(points: int, number: int) -> int:
    """Point `number` of those that begin at an address."""
    return int(np.int64(load_word(points, WORD_BYTES * (1 + number))))


@inner
def is_intact(points: Pixels, header: Header, size: int) -> bool:
    """Whether the points are those of this header, and what was written."""
    if len(points) < WORD_BYTES:
        return False
    columns = int(np.int64(load_word(points.ctypes.data, 0) >> np.uint64(32)))
    count = header.rows * columns + 1
    if columns < 1 or columns > header.units or len(points) != WORD_BYTES * (1 + count):
        return False
    total, before = BASIS, 0
    for number in range(count):
        word = point_at(points.ctypes.data, number)
        if word >> VALUES < before or (word >> VALUES) + 8 * header.codes > 8 * (size - 1):
            return False
        before, total = word >> VALUES, checksum(total, np.uint64(word))
    return total >> np.uint64(32) == load_word(points.ctypes.data, 0) & np.uint64(0xFFFFFFFF)


@inner
def _count_stuffed(data: Pixels, codes: int, out: Words, count: int) -> None:
    """Count the stuffed bytes of the file in the bits of `count` points."""
    base, at, stuffed = data.ctypes.data, codes, 0
    mask, found = (1 << VALUES) - 1, find_byte(data.ctypes.data + codes, 0xFF, len(data) - codes)
    for number in range(1, count + 1):
        word = int(np.int64(out[number]))
        bit = word >> VALUES
        # `at` is where the search goes on, `found` the next byte that is followed by a stuffed one.
        while found != 0 and int(np.int64(found - base)) - codes - stuffed < bit >> 3:
            at, stuffed = int(np.int64(found - base)) + 2, stuffed + 1
            found = find_byte(base + at, 0xFF, len(data) - at) if at < len(data) else np.uintp(0)
        out[number] = (bit + 8 * stuffed) << VALUES | (word & mask)


def _make_locate(sources: str) -> Callable[..., int]:
    def locate(data: Pixels, memory: Memory, out: Words) -> int:
        """Find the points of a JPEG.

        Args:
            data: a JPEG.
            memory: to work in; see `resnet_exp.data.kernels.lossless.restarts.memory_for`.
            out: gets the words, in the order of this machine's bytes; `most_words` says how many.

        Returns:
            How many words there are; 0 for a file that is not indexed: what restart markers cannot be put into, what
            has some of its own, what is damaged, or too small.
        """
        header = rewrite(data, memory.tables, memory.selected, memory.out)
        if header.size == 0 or len(sources) == 0 or 8 * len(data) >= MOST_BIT:
            return 0
        # One word is the first one, one the last point.
        points = min(header.units, (int(MOST_SHARE * len(data)) // WORD_BYTES - TABLE_WORDS - 2) // header.rows)
        if points < 1 or 0 < header.interval < header.units * header.rows or not prepare_tables(memory, header):
            return 0
        if not _found(data, header, points, memory, out):
            return 0
        count = header.rows * points + 1
        _count_stuffed(data, header.codes, out, count)
        total = BASIS
        for number in range(1, count + 1):
            total = checksum(total, out[number])
        out[0] = np.uint64(points) << np.uint64(32) | total >> np.uint64(32)
        return 1 + count

    return kernel(locate)


locate = _make_locate(sources_digest())


def most_words(size: int) -> int:
    """Of the points of a JPEG of `size` bytes."""
    return int(MOST_SHARE * size) // WORD_BYTES + 1
