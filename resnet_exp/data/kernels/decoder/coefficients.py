"""The coefficients of blocks, read from their codes (ITU-T T.81, annex F.2.2)."""

from __future__ import annotations

import numpy as np

from resnet_exp.data.kernels.intrinsics import load_entry, load_number, load_word, store_short, store_word
from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.lossless.huffman import BLOCK, code_of
from resnet_exp.data.kernels.lossless.numbers import BOTH, END, LOW, NUMBER, PAIR_BITS, STEP, number_of, steps_of
from resnet_exp.data.kernels.lossless.units import WORD_BITS, Bits, Work, difference_of, passed

# Where the coefficients are in a block, row by row, in the order of the codes; then beside it, for codes that are none
# of a coefficient.
ZIGZAG = [
    8 * step + total - step if total % 2 else 8 * (total - step) + step
    for total in range(15)
    for step in range(max(0, total - 7), min(total, 7) + 1)
]
ORDER = [*ZIGZAG, *[BLOCK] * END]
# Numbers of a block in memory: its coefficients, and one beside it; a multiple of eight.
BLOCK_ROOM = BLOCK + 8


@inlined
def _looked_up(numbers: int, word: np.uint64) -> int:
    return load_number(numbers, int(np.int64(word >> (WORD_BITS - PAIR_BITS))))


@inner
def _alone(work: Work, values: int, entry: int, word: np.uint64) -> tuple[bool, int, int, int]:
    """A code whose number, or itself, is longer than an index."""
    length, symbol = entry & LOW, (entry >> NUMBER) & LOW
    if entry == 0:
        base = int(np.int64(load_word(values, 24)))
        length, symbol = code_of(work.entries, base, PAIR_BITS + 1, word)
    size, value = symbol & 15, 0
    if size > 0:
        value = number_of(int(np.int64((word << length) >> (WORD_BITS - size))), size)
    return length > 0, steps_of(symbol), value, length + size


@inlined
def _is_whole(entry: int) -> bool:
    return (entry >> STEP) & LOW > 0


@inlined
def _put_pair(order: int, block: int, at: int, entry: int) -> tuple[int, int]:
    """Write what an entry stands for, up to the end of the block; returns what comes next, and the bits passed."""
    first = at + ((entry >> STEP) & LOW)
    store_short(block, load_entry(order, first - 1), entry >> NUMBER)
    if first >= BLOCK:
        return first, entry & LOW
    at += (entry >> BOTH + STEP) & LOW
    store_short(block, load_entry(order, at - 1), entry >> BOTH + NUMBER)
    return at, (entry >> BOTH) & LOW


@inlined
def read_block(work: Work, order: int, bits: Bits, values: int, block: int) -> tuple[bool, Bits]:
    """Read the coefficients of a block into memory that is zero; False if they are none.

    Args:
        work: addresses of tables and codes.
        order: address of `ORDER`.
        bits: what comes next.
        values: of the component in `Work.values`.
        block: address of the coefficients, int16, of `BLOCK_ROOM`.
    """
    good, difference, bits = difference_of(work, bits, int(np.int64(load_word(values, 16))))
    first = int(np.int64(load_word(values, 0))) + difference
    store_word(values, 0, np.uint64(first))
    store_short(block, 0, first)
    numbers, at = int(np.int64(load_word(values, 32))), 1
    while good and at < BLOCK:
        entry = _looked_up(numbers, bits.word)
        if not _is_whole(entry):
            good, steps, value, count = _alone(work, values, entry, bits.word)
            at += steps
            store_short(block, load_entry(order, at - 1), value)
        else:
            at, count = _put_pair(order, block, at, entry)
            # Bits for a second entry are there: neither has more than an index.
            if at < BLOCK:
                entry = _looked_up(numbers, bits.word << count)
                if _is_whole(entry):
                    at, more = _put_pair(order, block, at, entry)
                    count += more
        bits = passed(work.codes, bits, count)
    return good and (at == BLOCK or at > END), bits
