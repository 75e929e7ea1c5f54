"""The coefficients of blocks, read from their codes (ITU-T T.81, annex F.2.2)."""

from __future__ import annotations

import numpy as np

from resnet_exp.data.kernels.intrinsics import load_entry, load_word, store_short, store_word
from resnet_exp.data.kernels.jit import inlined
from resnet_exp.data.kernels.lossless.huffman import BLOCK, INDEX_BITS, code_of
from resnet_exp.data.kernels.lossless.numbers import END, LOW, NUMBER, STEP, number_of, steps_of
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
# Bits that the first of two codes may take with its number: `passed` passes 55.
MOST_FIRST = 55 - INDEX_BITS


@inlined
def _looked_up(numbers: int, word: np.uint64) -> int:
    return load_entry(numbers, int(np.int64(word >> (WORD_BITS - INDEX_BITS))))


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
        count, steps, value = entry & LOW, (entry >> STEP) & LOW, entry >> NUMBER
        if steps == 0:
            length, symbol = count, value & LOW
            if entry == 0:
                base = int(np.int64(load_word(values, 24)))
                length, symbol = code_of(work.entries, base, INDEX_BITS + 1, bits.word)
            size, steps, value = symbol & 15, steps_of(symbol), 0
            if size > 0:
                value = number_of(int(np.int64((bits.word << length) >> (WORD_BITS - size))), size)
            count, good = length + size, length > 0
        at += steps
        store_short(block, load_entry(order, at - 1), value)
        # Bits for a second one are there, in most cases: to look it up at once takes 0.97 of the time.
        if at < BLOCK and count <= MOST_FIRST:
            entry = _looked_up(numbers, bits.word << count)
            more = (entry >> STEP) & LOW
            if more > 0:
                at += more
                store_short(block, load_entry(order, at - 1), entry >> NUMBER)
                count += entry & LOW
        bits = passed(work.codes, bits, count)
    return good and (at == BLOCK or at > END), bits
