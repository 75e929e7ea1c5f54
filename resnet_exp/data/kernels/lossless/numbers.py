"""Tables to read the numbers of coefficients other than the first of a block, together with their codes.

They are looked up by `INDEX_BITS` bits at a time, which in most cases hold a code and the number that follows it.
"""

from __future__ import annotations

from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import byte_at
from resnet_exp.data.kernels.lossless.huffman import INDEX_BITS, LENGTHS, RUN_OF_ZEROS, Entries
from resnet_exp.data.kernels.resize import Pixels

# Of an entry: bits of the code and of the number; coefficients that are passed; the number. Where no coefficients are
# passed, the number is too long for the index: the bits are those of the code, and its symbol is in the number's place.
STEP, NUMBER, LOW = 8, 16, 0xFF
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
def prepare_numbers(own: Entries, table: Pixels) -> None:
    """Make a table ready to read; `resnet_exp.data.kernels.lossless.huffman.prepare` says whether it is sound."""
    own[:] = 0
    code, place = 0, LENGTHS
    for length in range(1, INDEX_BITS + 1):
        rest = INDEX_BITS - length
        for _ in range(byte_at(table, length - 1)):
            symbol = byte_at(table, place)
            size, steps = symbol & 15, steps_of(symbol)
            for index in range(code << rest, (code + 1) << rest):
                if size > rest:
                    own[index] = symbol << NUMBER | length
                else:
                    value = number_of((index >> (rest - size)) & ((1 << size) - 1), size) if size > 0 else 0
                    own[index] = value << NUMBER | steps << STEP | (length + size)
            code, place = code + 1, place + 1
        code <<= 1
