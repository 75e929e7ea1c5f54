"""Huffman codes of a JPEG (ITU-T T.81, annexes C and F.1.2): tables to read them, and to write first coefficients.

A reader looks up `INDEX_BITS` bits at a time. Of the coefficients other than the first of a block it wants to know only
where they end: an entry of a table may stand for several of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.intrinsics import load_entry
from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.resize import Pixels

Entries = npt.NDArray[np.int32]
# Kinds of tables: of first coefficients, and of the others.
FIRST, OTHERS = 0, 1
# Tables of a kind that a JPEG may have; bytes of one: how many codes of each length there are, then the symbols.
TABLES, LENGTHS, TABLE_BYTES = 4, 16, 16 + 256
INDEX_BITS = 11
# Of an entry: bits of codes and numbers; coefficients that must be left in the block; bits of the first code; how many
# coefficients are passed.
NEED, CODE, STEP = 6, 13, 18
BITS_MASK, NEED_MASK, CODE_MASK = (1 << NEED) - 1, (1 << (CODE - NEED)) - 1, (1 << (STEP - CODE)) - 1
BLOCK = 64
# More than is left of any block, as steps and as a need.
END, UNKNOWN = BLOCK, BLOCK << NEED
RUN_OF_ZEROS = 15
# Bits of a first coefficient's difference, at most.
MOST_BITS = 11
# By so many bits the codes are longer that are added to a table.
ADDED_LENGTH = 4


# A table to work with, in a flat array of all of them: entries by the next `INDEX_BITS` bits, `UNKNOWN` where a code is
# longer. Then of each length the first code that is longer, in 16 bits, and the number of the symbol of code 0; the
# symbols; of first coefficients, by bits of the difference, code and length to write.
LIMITS = 1 << INDEX_BITS
OFFSETS = LIMITS + LENGTHS + 1
SYMBOLS = OFFSETS + LENGTHS + 1
CODES_OUT = SYMBOLS + 256
LENGTHS_OUT = CODES_OUT + 256
ROOM = LENGTHS_OUT + 256


@inlined
def base_of(kind: int, number: int) -> int:
    """Where a table begins."""
    return (kind * TABLES + number) * ROOM


@inner
def complete(table: Pixels) -> bool:
    """Add the differences that a table of first coefficients lacks: at a marker any may occur.

    The codes that it has stay as they are. No encoder uses a code of ones alone, which leaves room for longer ones.
    Returns False where there is none, or no room for more symbols, or no table.
    """
    longest, count = 0, 0
    for length in range(1, LENGTHS + 1):
        count += np.int64(table[length - 1])
        longest = length if table[length - 1] > 0 else longest
    if count == 0 or count > TABLE_BYTES - LENGTHS - (MOST_BITS + 1):
        return False
    added = 0
    for size in range(MOST_BITS + 1):
        there = False
        for place in range(count):
            there |= table[LENGTHS + place] == size
        if not there:
            table[LENGTHS + count + added] = size
            added += 1
    if added == 0:
        return True
    if longest + ADDED_LENGTH > LENGTHS:
        return False
    table[longest + ADDED_LENGTH - 1] = added
    return True


@inner
def _entry(kind: int, length: int, symbol: int) -> int:
    """What a code of `length` bits and the number that follows it are to a reader."""
    if kind == FIRST:
        return symbol << NEED | length
    run, bits = symbol >> 4, symbol & 15
    if bits > 0:
        return (run + 1) << STEP | length << CODE | (run + 1) << NEED | (length + bits)
    if run == RUN_OF_ZEROS:
        return 16 << STEP | length << CODE | 16 << NEED | length
    return END << STEP | length << CODE | 1 << NEED | length


@inner
def prepare(entries: Entries, kind: int, number: int, table: Pixels) -> bool:
    """Make a table to work with; False if there can be no such codes."""
    base = base_of(kind, number)
    own = entries[base : base + ROOM]
    own[:LIMITS] = UNKNOWN
    own[LENGTHS_OUT:] = 0
    code, found = 0, 0
    for length in range(1, LENGTHS + 1):
        own[OFFSETS + length] = found - code
        for _ in range(np.int64(table[length - 1])):
            symbol = int(np.int64(table[LENGTHS + found]))
            if code >= (1 << length) - 1:  # no code is of ones alone
                return False
            if length <= INDEX_BITS:
                first = code << (INDEX_BITS - length)
                own[first : first + (1 << (INDEX_BITS - length))] = _entry(kind, length, symbol)
            own[SYMBOLS + found], own[CODES_OUT + symbol], own[LENGTHS_OUT + symbol] = symbol, code, length
            code, found = code + 1, found + 1
        own[LIMITS + length] = code << (LENGTHS - length)
        code <<= 1
    if kind == OTHERS:
        _join(own[:LIMITS])
    return found > 0


@inner
def _join(quick: Entries) -> None:
    """Let entries stand for several coefficients where an index has all of their codes."""
    single = quick.copy()
    for index in range(len(quick)):
        entry = np.int64(single[index])
        while entry != UNKNOWN and entry >> STEP < END:
            used = entry & BITS_MASK
            if used >= INDEX_BITS:
                break
            more = np.int64(single[(index << used) & (len(quick) - 1)])
            if more == UNKNOWN or used + ((more >> CODE) & CODE_MASK) > INDEX_BITS:
                break
            need = ((entry >> NEED) & NEED_MASK) + ((more >> NEED) & NEED_MASK)
            if need > BLOCK:
                break
            entry = ((entry >> STEP) + (more >> STEP)) << STEP | need << NEED | (used + (more & BITS_MASK))
        quick[index] = entry


@inner
def code_of(entries: int, base: int, least: int, word: np.uint64) -> tuple[int, int]:
    """Length and symbol of the one code of `least` bits or more that `word` begins with; zeros if there is none.

    Args:
        entries: address of the tables.
        base: where the table begins.
        least: bits.
        word: the next bits, the first one the highest.
    """
    peek = np.int64(word >> 48)
    for length in range(least, LENGTHS + 1):
        if peek < load_entry(entries, base + LIMITS + length):
            place = (peek >> (LENGTHS - length)) + load_entry(entries, base + OFFSETS + length)
            return length, load_entry(entries, base + SYMBOLS + place)
    return 0, 0


@inner
def entry_of(entries: int, base: int, kind: int, least: int, word: np.uint64) -> int:
    """The entry of a code; `UNKNOWN` if there is none. See `code_of`."""
    length, symbol = code_of(entries, base, least, word)
    return _entry(kind, length, symbol) if length > 0 else UNKNOWN
