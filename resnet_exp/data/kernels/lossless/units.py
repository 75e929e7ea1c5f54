"""The units of a JPEG: blocks that are coded together. They are passed one after the other, and their codes copied."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from resnet_exp.data.kernels.intrinsics import load_entry, load_word, store_word
from resnet_exp.data.kernels.jit import inlined
from resnet_exp.data.kernels.jpeg import COLORS
from resnet_exp.data.kernels.lossless.header import Header
from resnet_exp.data.kernels.lossless.huffman import (
    BITS_MASK,
    BLOCK,
    CODES_OUT,
    FIRST,
    INDEX_BITS,
    LENGTHS_OUT,
    MOST_BITS,
    NEED,
    NEED_MASK,
    OTHERS,
    STEP,
    UNKNOWN,
    entry_of,
)

# Bytes of `Work.values` for a component.
VALUE_BYTES = 72
WORD_BITS, COPIED_BITS, LEAST_LEFT = 64, 56, 56


class Work(NamedTuple):
    """Addresses of the memory that units are passed in; see `load_word`."""

    codes: int
    piece: int
    entries: int
    # Of each component, eight bytes each: the last first coefficient as it is read; what is taken from it where it is
    # written anew; where its tables begin; what `resnet_exp.data.kernels.decoder` has there.
    values: int


class Place(NamedTuple):
    """Where bits are written: the number of the next one, and those of its byte that are there already."""

    bit: int
    pending: np.uint64


class Bits(NamedTuple):
    """Codes as they are read: the highest `left` bits of `word` come next, those below are ignored; then `at`."""

    word: np.uint64
    left: int
    at: int


class Unit(NamedTuple):
    """After a unit: whether it was one; what comes next; up to where codes are copied; where they are written."""

    good: bool
    bits: Bits
    copied: int
    place: Place


@inlined
def put(piece: int, place: Place, bits: np.uint64, count: int) -> Place:
    """Write the highest `count` bits of `bits`, 1 to 56; the others must be zeros."""
    used = place.bit & 7
    word = place.pending | (bits >> used)
    store_word(piece, place.bit >> 3, word)
    return Place(place.bit + count, word << ((used + count) & ~7))


@inlined
def _copied(work: Work, bit: int, count: int, place: Place) -> Place:
    read = load_word(work.codes, bit >> 3) << (bit & 7)
    return put(work.piece, place, (read >> (WORD_BITS - count)) << (WORD_BITS - count), count)


@inlined
def copied_to(work: Work, bit: int, end: int, place: Place) -> Place:
    """Copy the bits from `bit` to `end`."""
    # To where a byte begins, then whole words: none of them waits for the one before.
    count = min(8 - (place.bit & 7), end - bit)
    if count > 0:
        place = _copied(work, bit, count, place)
        bit += count
    words = (end - bit) >> 6
    at, to, skipped = bit >> 3, place.bit >> 3, bit & 7
    for _ in range(words):
        word = (load_word(work.codes, at) << skipped) | (load_word(work.codes, at + 1) >> (8 - skipped))
        store_word(work.piece, to, word)
        at, to = at + 8, to + 8
    bit, place = bit + WORD_BITS * words, Place(place.bit + WORD_BITS * words, place.pending)
    while bit < end:
        count = min(COPIED_BITS, end - bit)
        place = _copied(work, bit, count, place)
        bit += count
    return place


@inlined
def passed(codes: int, bits: Bits, count: int) -> Bits:
    """Without `count` bits, 0 to 55, and with 56 to 63 left."""
    left = bits.left - count
    word = (bits.word << count) | (load_word(codes, bits.at) >> left)
    return Bits(word, left | LEAST_LEFT, bits.at + ((WORD_BITS - 1 - left) >> 3))


@inlined
def first_bits(codes: int) -> Bits:
    """At the beginning."""
    return passed(codes, Bits(np.uint64(0), 0, 0), 0)


@inlined
def position(bits: Bits) -> int:
    """Number of the next bit."""
    return 8 * bits.at - bits.left


@inlined
def _quick(work: Work, base: int, word: np.uint64) -> int:
    return load_entry(work.entries, base + int(np.int64(word >> (WORD_BITS - INDEX_BITS))))


@inlined
def _too_many(at: int, entry: int) -> bool:
    return at + ((entry >> NEED) & NEED_MASK) > BLOCK


@inlined
def _others(work: Work, bits: Bits, base: int) -> tuple[bool, Bits]:
    """Pass the codes of a block without its first; False if they are none."""
    at = 1
    while at < BLOCK:
        entry = _quick(work, base, bits.word)
        if _too_many(at, entry):
            least = INDEX_BITS + 1 if entry == UNKNOWN else 1
            entry = entry_of(work.entries, base, OTHERS, least, bits.word)
            if _too_many(at, entry):
                return False, bits
            bits, at = passed(work.codes, bits, entry & BITS_MASK), at + (entry >> STEP)
            continue
        count, at = entry & BITS_MASK, at + (entry >> STEP)
        if at >= BLOCK:
            return True, passed(work.codes, bits, count)
        # The bits of a second entry are there: each has 26 at most, an index and a number of 15.
        entry = _quick(work, base, bits.word << count)
        if _too_many(at, entry):
            bits = passed(work.codes, bits, count)
            continue
        bits, at = passed(work.codes, bits, count + (entry & BITS_MASK)), at + (entry >> STEP)
    return True, bits


@inlined
def difference_of(work: Work, bits: Bits, base: int) -> tuple[bool, int, Bits]:
    """Pass a first coefficient's difference; False if there is none."""
    entry = _quick(work, base, bits.word)
    if entry == UNKNOWN:
        entry = entry_of(work.entries, base, FIRST, INDEX_BITS + 1, bits.word)
    length, size = entry & BITS_MASK, entry >> NEED
    if size > MOST_BITS:
        return False, 0, bits
    # In two steps, since no shift is by as many bits as there are.
    value = int(np.int64(((bits.word << length) >> (WORD_BITS - 1 - MOST_BITS)) >> (MOST_BITS + 1 - size)))
    value -= 0 if (value << 1) >> size else (1 << size) - 1
    return True, value, passed(work.codes, bits, length + size)


@inlined
def _put_first(work: Work, place: Place, difference: int, base: int) -> Place:
    """Write a first coefficient as its difference from the one before; bit -1: it is too large."""
    size, bits = 0, abs(difference)
    while bits >> size:
        size += 1
    if size > MOST_BITS:
        return Place(-1, place.pending)
    value = difference if difference >= 0 else difference + (1 << size) - 1
    count = load_entry(work.entries, base + LENGTHS_OUT + size) + size
    both = np.uint64(load_entry(work.entries, base + CODES_OUT + size) << size | value)
    return put(work.piece, place, both << (WORD_BITS - count), count)


@inlined
def pass_unit(work: Work, header: Header, bits: Bits, copied: int, place: Place, first: bool) -> Unit:
    """Pass a unit, `first` after a marker of the file or a new one."""
    for component in range(header.components):
        values = work.values + VALUE_BYTES * component
        base, others = int(np.int64(load_word(values, 16))), int(np.int64(load_word(values, 24)))
        for block in range(header.luma if component == 0 else 1):
            begin = position(bits)
            good, difference, bits = difference_of(work, bits, base)
            value = int(np.int64(load_word(values, 0))) + difference
            store_word(values, 0, np.uint64(value))
            if first and block == 0:
                place = copied_to(work, copied, begin, place)
                place = _put_first(work, place, value - int(np.int64(load_word(values, 8))), base)
                copied = position(bits)
            if not good or place.bit < 0:
                return Unit(False, bits, copied, place)
            good, bits = _others(work, bits, others)
            if not good:
                return Unit(False, bits, copied, place)
    return Unit(True, bits, copied, place)


@inlined
def reset(work: Work, theirs: bool, ours: bool) -> None:
    """After a marker of the file, a new one, or both."""
    for component in range(COLORS):
        values = work.values + VALUE_BYTES * component
        if theirs:
            store_word(values, 8, load_word(values, 0))
            store_word(values, 0, np.uint64(0))
        if ours:
            store_word(values, 8, np.uint64(0))
