"""A unit that is put into a JPEG where codes are left out, and that no one sees.

Its first coefficients take the decoder from those before the gap to those behind it. It gets as many other coefficients
as it needs for the codes behind it to begin at the same bit of a byte as in the file: these are copied as they are.
"""

from __future__ import annotations

import numpy as np

from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import COLORS, byte_at
from resnet_exp.data.kernels.lossless.header import Header
from resnet_exp.data.kernels.lossless.huffman import FIRST, LENGTHS, MOST_BITS, OTHERS
from resnet_exp.data.kernels.lossless.points import VALUE_BITS
from resnet_exp.data.kernels.lossless.units import WORD_BITS, Place, put
from resnet_exp.data.kernels.resize import Numbers, Pixels

# Bytes of a unit that is put in, at most, each of which may need a stuffed one: six blocks of a first code and an end
# of at most 27 and 16 bits, and seven codes of 26 bits.
UNIT_BYTES = 64
# Of a component's row: the codes of differences by their bits, that of the end of a block, and one of a coefficient of
# an odd number of bits, with which any bit of a byte can be reached. Then as many lengths.
END, ODD = MOST_BITS + 1, MOST_BITS + 2
CODES = ODD + 1
LAST_BIT = 7


@inner
def read_codes(table: Pixels, kind: int, codes: Numbers) -> bool:
    """Find the codes that are written; False if there is none of those that are always needed."""
    code, place = 0, LENGTHS
    codes[CODES + ODD if kind == OTHERS else CODES] = 0
    if kind == OTHERS:
        codes[CODES + END] = 0
    for length in range(1, LENGTHS + 1):
        for _ in range(byte_at(table, length - 1)):
            symbol, place = byte_at(table, place), place + 1
            if kind == FIRST and symbol <= MOST_BITS:
                codes[symbol], codes[CODES + symbol] = code, length
            elif kind == OTHERS and symbol == 0:
                codes[END], codes[CODES + END] = code, length
            elif kind == OTHERS and symbol <= MOST_BITS - 1 and (length + symbol) & 1 and codes[CODES + ODD] == 0:
                # All bits of the coefficient are ones.
                codes[ODD], codes[CODES + ODD] = code << symbol | ((1 << symbol) - 1), length + symbol
            code += 1
        code <<= 1
    return kind == FIRST or (codes[CODES + END] > 0 and codes[CODES + ODD] > 0)


@inlined
def _put(piece: Pixels, place: Place, bits: int, count: int) -> Place:
    return put(piece.ctypes.data, place, np.uint64(bits) << np.uint64(WORD_BITS - count), count)


@inner
def put_unit(codes_of: Numbers, piece: Pixels, header: Header, place: Place, jump: tuple[int, int], bit: int) -> Place:
    """Write a unit that takes the first coefficients from those of one point to those of another.

    Args:
        codes_of: each component, as `read_codes` finds them.
        piece: where codes are written.
        header: of the JPEG.
        place: where it is written.
        jump: both points.
        bit: of a byte, at which it must end; -1 for any.
    """
    for component in range(header.components):
        shift = VALUE_BITS * (COLORS - 1 - component)
        mask, codes = (1 << VALUE_BITS) - 1, codes_of[component]
        difference = ((jump[1] >> shift) & mask) - ((jump[0] >> shift) & mask)
        for block in range(header.luma if component == 0 else 1):
            size = 0
            while abs(difference) >> size:
                size += 1
            value = difference if difference >= 0 else difference + (1 << size) - 1
            place = _put(piece, place, codes[size] << size | value, codes[CODES + size] + size)
            difference = 0
            # The last block of all makes up for what the others take.
            if bit >= 0 and component == header.components - 1 and block == (header.luma if component == 0 else 1) - 1:
                while (place.bit + codes[CODES + END]) & LAST_BIT != bit:
                    place = _put(piece, place, codes[ODD], codes[CODES + ODD])
            place = _put(piece, place, codes[END], codes[CODES + END])
    return place
