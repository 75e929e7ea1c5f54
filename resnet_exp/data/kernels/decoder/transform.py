"""The inverse transforms of a block of coefficients, as instructions on eight columns at a time.

Those of libjpeg-turbo 2.1.5, whose pixels they make: the accurate one (jidctint.c, after Loeffler, Ligtenberg and
Moschytz, 1989), the fast one (jidctfst-sse2.asm, after Arai, Agui and Nakajima, 1988), and the accurate ones of a half,
a quarter and an eighth of the size (jidctred.c). All are of whole numbers, so that every machine makes the same pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

SIDE = 8
BYTE, SHORT, INTEGER = ir.IntType(8), ir.IntType(16), ir.IntType(32)
BYTES, SHORTS, INTEGERS = (ir.VectorType(kind, SIDE) for kind in (BYTE, SHORT, INTEGER))
# Bits behind the point: of the constants, and of what is between both passes.
CONSTANT_BITS, BETWEEN_BITS = 13, 2
# Of one dimension's sum, an eighth is taken.
EIGHTH_BITS = 3
CENTER, MOST = 128, 255
# The fast transform wants factors that are multiplied by these, with so many bits behind the point, and keeps two.
FACTOR_BITS = 14
_SHARES = [1.0, *(cos(number * pi / 16) * sqrt(2) for number in range(1, SIDE))]
FAST_FACTORS = [round(down * across * (1 << FACTOR_BITS)) for down in _SHARES for across in _SHARES]

Vectors = list[Any]


def fill(kind: Any, value: int) -> Any:
    """A vector of one value."""
    return ir.Constant(kind, [value] * kind.count)


def limited(builder: Any, vector: Any, least: int, most: int) -> Any:
    """Signed numbers, of which smaller and larger ones are replaced by a limit."""
    low, high = fill(vector.type, least), fill(vector.type, most)
    vector = builder.select(builder.icmp_signed("<", vector, low), low, vector)
    return builder.select(builder.icmp_signed(">", vector, high), high, vector)


def clamped(builder: Any, vector: Any) -> Any:
    """Signed numbers as bytes: smaller ones are 0, larger ones 255."""
    return builder.trunc(limited(builder, vector, 0, MOST), ir.VectorType(BYTE, vector.type.count))


class _Arithmetic:
    """What the transforms are made of."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def add(self, *terms: Any) -> Any:
        total = terms[0]
        for term in terms[1:]:
            total = self.builder.add(total, term)
        return total

    def subtract(self, one: Any, other: Any) -> Any:
        return self.builder.sub(one, other)

    def wide(self, vector: Any) -> Any:
        return vector if vector.type == INTEGERS else self.builder.sext(vector, INTEGERS)

    def narrow(self, vector: Any) -> Any:
        """The nearest 16-bit numbers."""
        return self.builder.trunc(limited(self.builder, vector, -(2**15), 2**15 - 1), SHORTS)

    def times(self, vector: Any, factor: float) -> Any:
        return self.builder.mul(self.wide(vector), fill(INTEGERS, round(factor * (1 << CONSTANT_BITS))))

    def weighted(self, rows: Vectors, factors: dict[int, float]) -> Any:
        return self.add(*(self.times(rows[number], factor) for number, factor in factors.items()))

    def butterfly(self, evens: Vectors, odds: Vectors) -> Vectors:
        """Sums, then differences in the other order."""
        pairs = list(zip(evens, odds, strict=True))
        return [self.add(*pair) for pair in pairs] + [self.subtract(*pair) for pair in reversed(pairs)]

    def high(self, vector: Any, factor: int) -> Any:
        """A quarter of the upper half of the products of 16-bit numbers, as ``pmulhw`` after ``psllw`` makes them."""
        shifted = self.builder.shl(vector, fill(SHORTS, BETWEEN_BITS))
        product = self.builder.mul(self.builder.sext(shifted, INTEGERS), fill(INTEGERS, factor << 6))
        return self.builder.trunc(self.builder.ashr(product, fill(INTEGERS, 16)), SHORTS)

    def transposed(self, rows: Vectors) -> Vectors:
        """Eight vectors of eight, their rows and columns exchanged: three times one half is woven into the other."""
        rows = rows + [fill(SHORTS, 0)] * (SIDE - len(rows))
        for _ in range(3):
            rows = [self._woven(rows[number // 2], rows[number // 2 + 4], number % 2) for number in range(SIDE)]
        return rows

    def _woven(self, one: Any, other: Any, half: int) -> Any:
        places = [place + 4 * half + SIDE * which for place in range(4) for which in range(2)]
        return self.builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(INTEGER, SIDE), places))


def _whole(a: _Arithmetic, rows: Vectors) -> Vectors:
    """The accurate transform in one dimension: of each column of a block if the vectors are its rows."""
    # Too large sums of these pairs are wrapped, all others are of 32 bits.
    sum_04, less_04 = a.add(rows[0], rows[4]), a.subtract(rows[0], rows[4])
    sum_73, sum_51 = a.wide(a.add(rows[7], rows[3])), a.wide(a.add(rows[5], rows[1]))
    rows = [a.wide(row) for row in rows]
    even = a.times(a.add(rows[2], rows[6]), 0.541196100)
    two, three = a.subtract(even, a.times(rows[6], 1.847759065)), a.add(even, a.times(rows[2], 0.765366865))
    zero, one = a.times(sum_04, 1), a.times(less_04, 1)
    both = a.times(a.add(sum_73, sum_51), 1.175875602)
    first, second = a.times(a.add(rows[7], rows[1]), -0.899976223), a.times(a.add(rows[5], rows[3]), -2.562915447)
    third, fourth = a.add(a.times(sum_73, -1.961570560), both), a.add(a.times(sum_51, -0.390180644), both)
    odds = [
        a.add(a.times(rows[1], 1.501321110), first, fourth),
        a.add(a.times(rows[3], 3.072711026), second, third),
        a.add(a.times(rows[5], 2.053119869), second, fourth),
        a.add(a.times(rows[7], 0.298631336), first, third),
    ]
    return a.butterfly([a.add(zero, three), a.add(one, two), a.subtract(one, two), a.subtract(zero, three)], odds)


def _half(a: _Arithmetic, rows: Vectors) -> Vectors:
    """The same at half of the size."""
    zero, two = a.times(rows[0], 2), a.weighted(rows, {2: 1.847759065, 6: -0.765366865})
    odds = [
        a.weighted(rows, {7: -0.509795579, 5: -0.601344887, 3: 0.899976223, 1: 2.562915447}),
        a.weighted(rows, {7: -0.211164243, 5: 1.451774981, 3: -2.172734803, 1: 1.061594337}),
    ]
    return a.butterfly([a.add(zero, two), a.subtract(zero, two)], odds)


def _quarter(a: _Arithmetic, rows: Vectors) -> Vectors:
    """The same at a quarter of the size."""
    odd = a.weighted(rows, {7: -0.720959822, 5: 0.850430095, 3: -1.272758580, 1: 3.624509785})
    return a.butterfly([a.times(rows[0], 4)], [odd])


def _eighth(a: _Arithmetic, rows: Vectors) -> Vectors:
    """The same at an eighth of the size: nothing but the first coefficient."""
    return [a.times(rows[0], 8)]


def _fast(a: _Arithmetic, rows: Vectors) -> Vectors:
    """The fast transform in one dimension, of 16-bit numbers."""
    zero, one = a.add(rows[0], rows[4]), a.subtract(rows[0], rows[4])
    three = a.add(rows[2], rows[6])
    two = a.subtract(a.high(a.subtract(rows[2], rows[6]), 362), three)
    evens = [a.add(zero, three), a.add(one, two), a.subtract(one, two), a.subtract(zero, three)]
    z10, z11 = a.subtract(rows[5], rows[3]), a.add(rows[1], rows[7])
    z12, z13 = a.subtract(rows[1], rows[7]), a.add(rows[5], rows[3])
    z5 = a.high(a.add(z10, z12), 473)
    seven = a.add(z11, z13)
    six = a.subtract(a.add(a.subtract(a.high(z10, -413), z10), z5), seven)
    five = a.subtract(a.high(a.subtract(z11, z13), 362), six)
    four = a.add(a.subtract(a.high(z12, 277), z5), five)
    # The last one is added where the others are subtracted.
    return a.butterfly(evens, [seven, six, five, a.subtract(fill(SHORTS, 0), four)])


def _accurately(transform: Callable[[_Arithmetic, Vectors], Vectors], more: int) -> Callable[..., Vectors]:
    """A pass of an accurate transform, with `more` bits behind the point, that drops others on top of these."""

    def run(a: _Arithmetic, rows: Vectors, dropped: int) -> Vectors:
        bits = CONSTANT_BITS + more + dropped
        sums = transform(a, rows)
        half, shift = fill(INTEGERS, 1 << (bits - 1)), fill(INTEGERS, bits)
        return [a.narrow(a.builder.ashr(a.add(total, half), shift)) for total in sums]

    return run


def _quickly(a: _Arithmetic, rows: Vectors, dropped: int) -> Vectors:
    sums = _fast(a, rows)
    return [a.builder.ashr(total, fill(SHORTS, dropped)) for total in sums] if dropped > 0 else sums


def _make(run: Callable[..., Vectors]) -> Callable[[int, int, int, int], None]:
    @intrinsic
    def transform_block(_typing: Any, block: Any, factors: Any, out: Any, stride: Any) -> Any:
        """Make the pixels of a block, and clear its coefficients.

        Args:
            block: address of its 64 coefficients, int16, row by row.
            factors: address of what they are multiplied by, likewise.
            out: address of the first pixel, uint8.
            stride: bytes from one row of pixels to the next.
        """

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            a = _Arithmetic(builder)
            blocks, tables = (builder.inttoptr(address, SHORTS.as_pointer()) for address in arguments[:2])
            rows = Vectors()
            for number in range(SIDE):
                place = ir.Constant(INTEGER, number)
                row, table = builder.gep(blocks, [place]), builder.gep(tables, [place])
                rows.append(builder.mul(builder.load(row, align=2), builder.load(table, align=2)))
                builder.store(fill(SHORTS, 0), row, align=2)
            # Fast sums have no bits to drop between both passes.
            columns = a.transposed(run(a, rows, 0 if run is _quickly else -BETWEEN_BITS))
            rows = run(a, columns, BETWEEN_BITS + EIGHTH_BITS)
            count, address = len(rows), arguments[2]
            order = ir.Constant(ir.VectorType(INTEGER, count), list(range(count)))
            for row in a.transposed(rows)[:count]:
                # Limits are applied first: no sum is too large then.
                row = builder.add(limited(builder, row, -CENTER, MOST - CENTER), fill(SHORTS, CENTER))
                pixels = builder.trunc(row, BYTES)
                pixels = builder.shuffle_vector(pixels, pixels, order)
                builder.store(pixels, builder.inttoptr(address, pixels.type.as_pointer()), align=1)
                address = builder.add(address, arguments[3])
            return context.get_dummy_value()

        return types.void(types.uintp, types.uintp, types.uintp, types.uintp), generate

    # As it is called from compiled code.
    return cast(Callable[[int, int, int, int], None], transform_block)


transform_whole, transform_fast = _make(_accurately(_whole, 0)), _make(_quickly)
transform_half, transform_quarter = _make(_accurately(_half, 1)), _make(_accurately(_quarter, 2))
transform_eighth = _make(_accurately(_eighth, 3))
