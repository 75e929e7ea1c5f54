"""Colors at the size of the image, and RGB: as libjpeg-turbo makes them (2.1.5, jdsample.c and jdcolor.c).

Rows are worked on `LANES` pixels at a time. So they are read and written beyond their ends, by less than `BEYOND`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from resnet_exp.data.kernels.decoder.transform import BYTE, CENTER, INTEGER, SHORT, clamped, fill

LANES = 16
# Bytes beyond a row that are read or written: 3 for each pixel, of which the last ones may be none.
BEYOND = 3 * LANES
BYTES, SHORTS, INTEGERS = (ir.VectorType(kind, LANES) for kind in (BYTE, SHORT, INTEGER))
# Of ITU-R BT.601, with so many bits behind the point.
BITS = 16
RED, GREEN_BLUE, GREEN_RED, BLUE = (round(part * (1 << BITS)) for part in (1.40200, -0.34414, -0.71414, 1.77200))


def _loaded(builder: Any, address: Any, kind: Any) -> Any:
    return builder.zext(builder.load(builder.inttoptr(address, BYTES.as_pointer()), align=1), kind)


def _stored(builder: Any, parts: list[Any], address: Any) -> None:
    """Store the first byte of each part, then the second of each, and so on."""
    two = builder.shuffle_vector(parts[0], parts[1], _places(range(2 * LANES)))
    last = builder.shuffle_vector(parts[-1], parts[-1], _places(range(2 * LANES)))
    order = [lane + LANES * part for lane in range(LANES) for part in range(len(parts))]
    mixed = builder.shuffle_vector(two, last, _places(order))
    builder.store(mixed, builder.inttoptr(address, mixed.type.as_pointer()), align=1)


def _places(order: Any) -> Any:
    places = list(order)
    return ir.Constant(ir.VectorType(INTEGER, len(places)), places)


def _each(builder: Any, count: Any, do: Callable[[Any], None]) -> None:
    """Call `do` for the first of every `LANES` pixels."""
    zero, step = ir.Constant(count.type, 0), ir.Constant(count.type, LANES)
    with cgutils.for_range_slice(builder, zero, count, step) as (index, _):
        do(index)


@intrinsic
def _put_rgb(_typing: Any, luma: Any, blue: Any, red: Any, out: Any, count: Any) -> Any:
    """Write `count` pixels of a row as RGB; the others are addresses of bytes."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        add, times, many = builder.add, builder.mul, fill

        def put(index: Any) -> None:
            y, cb, cr = (_loaded(builder, add(address, index), INTEGERS) for address in arguments[:3])
            cb, cr = (builder.sub(color, many(INTEGERS, CENTER)) for color in (cb, cr))
            half = many(INTEGERS, 1 << (BITS - 1))
            parts = [
                times(cr, many(INTEGERS, RED)),
                add(times(cb, many(INTEGERS, GREEN_BLUE)), times(cr, many(INTEGERS, GREEN_RED))),
                times(cb, many(INTEGERS, BLUE)),
            ]
            rgb = [clamped(builder, add(y, builder.ashr(add(part, half), many(INTEGERS, BITS)))) for part in parts]
            _stored(builder, rgb, add(arguments[3], times(index, ir.Constant(index.type, len(rgb)))))

        _each(builder, arguments[4], put)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 4, types.intp), generate


@intrinsic
def _widen(_typing: Any, near: Any, far: Any, out: Any, count: Any, both: Any) -> Any:
    """Write the `2 * count` colors of a row of pixels.

    A pixel's color is three parts of that which it lies in, and one of the next. A byte before and one behind the rows
    must be there.

    Args:
        near: address of the row of colors that the pixels lie in.
        far: address of the one that they are closest to, if there are half as many rows, too.
        out: where they are written.
        count: of colors.
        both: whether there are half as many rows.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        add, times, many = builder.add, builder.mul, fill
        both = builder.icmp_signed("!=", arguments[4], ir.Constant(arguments[4].type, 0))

        def choose(yes: int, no: int) -> Any:
            return builder.select(both, many(SHORTS, yes), many(SHORTS, no))

        weights, shift, even, odd = (choose(3, 1), choose(1, 0)), choose(4, 2), choose(8, 1), choose(7, 2)

        def put(index: Any) -> None:
            def at(offset: int) -> Any:
                place = add(index, ir.Constant(index.type, offset))
                rows = [_loaded(builder, add(address, place), SHORTS) for address in arguments[:2]]
                return add(times(rows[0], weights[0]), times(rows[1], weights[1]))

            main = times(at(0), many(SHORTS, 3))
            sums = [add(add(main, at(-1)), even), add(add(main, at(1)), odd)]
            halves = [builder.trunc(builder.lshr(total, shift), BYTES) for total in sums]
            _stored(builder, halves, add(arguments[2], add(index, index)))

        _each(builder, arguments[3], put)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 3, types.intp, types.intp), generate


@intrinsic
def _mix_rows(_typing: Any, near: Any, far: Any, out: Any, count: Any, bias: Any) -> Any:
    """Write the `count` colors of a row of pixels where there are half as many rows of colors; see `widen`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        add, times, many = builder.add, builder.mul, fill
        first, undefined = ir.Constant(INTEGER, 0), ir.Constant(SHORTS, ir.Undefined)
        some = builder.insert_element(undefined, builder.trunc(arguments[4], SHORT), first)
        rest = builder.shuffle_vector(some, some, _places([0] * LANES))

        def put(index: Any) -> None:
            rows = [_loaded(builder, add(address, index), SHORTS) for address in arguments[:2]]
            total = add(add(times(rows[0], many(SHORTS, 3)), rows[1]), rest)
            mixed = builder.trunc(builder.lshr(total, many(SHORTS, 2)), BYTES)
            builder.store(mixed, builder.inttoptr(add(arguments[2], index), BYTES.as_pointer()), align=1)

        _each(builder, arguments[3], put)
        return context.get_dummy_value()

    return types.void(*[types.uintp] * 3, types.intp, types.intp), generate


# As they are called from compiled code.
put_rgb = cast(Callable[[int, int, int, int, int], None], _put_rgb)
widen = cast(Callable[[int, int, int, int, bool], None], _widen)
mix_rows = cast(Callable[[int, int, int, int, int], None], _mix_rows)
