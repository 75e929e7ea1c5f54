"""Tables to read the numbers of coefficients other than the first of a block, together with their codes.

They are looked up by `PAIR_BITS` bits at a time, which in most cases hold two codes and the numbers that follow them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import byte_at
from resnet_exp.data.kernels.lossless.huffman import LENGTHS, RUN_OF_ZEROS
from resnet_exp.data.kernels.resize import Pixels

Pairs = npt.NDArray[np.int64]
# Of an entry: bits of the first code and of its number; coefficients that it passes; the number. Then bits and
# coefficients of both codes, and the number of the second; those of the first again, where the index has one alone.
# Where no coefficients are passed, the number is too long for the index: the bits are those of the code, and its symbol
# is in the number's place.
STEP, NUMBER, BOTH, LOW = 8, 16, 32, 0xFF
NUMBER_MASK = (1 << BOTH - NUMBER) - 1
# With one more, two tables take all of a small first cache.
PAIR_BITS = 10
# Steps at the end of a block: more than any others lead to.
END = 80


@inlined
def number_of(bits: int, size: int) -> int:
    """A number of `size` bits, one at least: those that begin with a zero are negative."""
    return bits if bits >> (size - 1) else bits - (1 << size) + 1


@inlined
def steps_of(symbol: int) -> int:
    """Coefficients that a code passes."""
    if symbol & 15 == 0:
        return RUN_OF_ZEROS + 1 if symbol >> 4 == RUN_OF_ZEROS else END
    return (symbol >> 4) + 1


@inner
def prepare_numbers(own: Pairs, table: Pixels) -> None:
    """Make a table ready to read; `resnet_exp.data.kernels.lossless.huffman.prepare` says whether it is sound."""
    own[:] = 0
    code, place = 0, LENGTHS
    for length in range(1, PAIR_BITS + 1):
        rest = PAIR_BITS - length
        for _ in range(byte_at(table, length - 1)):
            symbol = byte_at(table, place)
            size, steps = symbol & 15, steps_of(symbol)
            for index in range(code << rest, (code + 1) << rest):
                if size > rest:
                    own[index] = symbol << NUMBER | length
                else:
                    value = number_of((index >> (rest - size)) & ((1 << size) - 1), size) if size > 0 else 0
                    own[index] = (value & NUMBER_MASK) << NUMBER | steps << STEP | (length + size)
            code, place = code + 1, place + 1
        code <<= 1
    _pair(own)


@inner
def _pair(own: Pairs) -> None:
    """Let entries stand for two codes where an index has both."""
    single = own.copy()
    for index in range(len(own)):
        first = single[index]
        used, steps = first & LOW, (first >> STEP) & LOW
        both = first
        if 0 < steps < END and used < PAIR_BITS:
            more = single[(index << used) & (len(own) - 1)]
            more_steps = (more >> STEP) & LOW
            if more_steps > 0 and used + (more & LOW) <= PAIR_BITS:
                both = more + used + (steps << STEP)
        own[index] = first | both << BOTH
