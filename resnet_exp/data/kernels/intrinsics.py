"""Processor instructions that numba cannot express, as functions of compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INDEX, BYTE, SHORT, WORD = ir.IntType(32), ir.IntType(8), ir.IntType(16), ir.IntType(64)
# Red, green, blue, and one more number that is ignored.
LANES = 4


@intrinsic
def take(_typing: Any, counter: Any) -> Any:
    """Return the number in `counter`, an int64 array of one, and add one to it: no two threads get the same."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        # Monotonic suffices: the counter is atomic, and threads share nothing else that would need an order.
        return builder.atomic_rmw("add", array.data, context.get_constant(types.int64, 1), "monotonic")

    return types.int64(counter), generate


@intrinsic
def weighted_pixel(_typing: Any, row: Any, start: Any, weights: Any, first: Any, count: Any) -> Any:
    """The weighted sum of `count` pixels, as three uint8: ``int(0.5 + w0 * p0 + w1 * p1 + ...)`` of each channel.

    The channels are added up side by side in one register of the processor, each in the order above.

    Args:
        row: float32 RGB, flat; the memory must reach one number beyond the last pixel that is read.
        start: where the first pixel starts in `row`, uint64.
        weights: float32.
        first: index of the first pixel's weight, uint64.
        count: how many pixels, int64. The sum must be less than 256.
    """
    lanes = ir.VectorType(ir.FloatType(), LANES)
    undefined, same = ir.Constant(lanes, ir.Undefined), ir.Constant(ir.VectorType(INDEX, LANES), [0] * LANES)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        factors = context.make_array(signature.args[2])(context, builder, arguments[2]).data
        total = cgutils.alloca_once_value(builder, ir.Constant(lanes, [0.5] * LANES))
        length = context.cast(builder, arguments[4], signature.args[4], types.intp)
        with cgutils.for_range(builder, length) as loop:
            offset = builder.mul(loop.index, ir.Constant(loop.index.type, 3))
            place = builder.gep(pixels, [builder.add(arguments[1], offset)])
            pixel = builder.load(builder.bitcast(place, lanes.as_pointer()), align=4)
            factor = builder.load(builder.gep(factors, [builder.add(arguments[3], loop.index)]))
            spread = builder.insert_element(undefined, factor, ir.Constant(INDEX, 0))
            product = builder.fmul(builder.shuffle_vector(spread, undefined, same), pixel)
            builder.store(builder.fadd(builder.load(total), product), total)
        whole = builder.fptosi(builder.load(total), ir.VectorType(INDEX, LANES))
        channels = builder.trunc(whole, ir.VectorType(BYTE, LANES))
        rgb = [builder.extract_element(channels, ir.Constant(INDEX, channel)) for channel in range(3)]
        return context.make_tuple(builder, signature.return_type, rgb)

    return types.UniTuple(types.uint8, 3)(row, start, weights, first, count), generate


@intrinsic
def _load_word(_typing: Any, address: Any, at: Any) -> Any:
    """The eight bytes that begin `at` bytes behind an address, as a uint64 whose highest byte is the first one.

    An address takes no count of references, which in a loop costs more than reading does.
    """

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bswap(builder.load(_place(builder, arguments, WORD, BYTE), align=1))

    return types.uint64(address, at), generate


@intrinsic
def _store_word(_typing: Any, address: Any, at: Any, word: Any) -> Any:
    """Write a uint64 to the eight bytes that begin `at` bytes behind an address: its highest byte to the first one."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(builder.bswap(arguments[2]), _place(builder, arguments, WORD, BYTE), align=1)
        return context.get_dummy_value()

    return types.void(address, at, word), generate


@intrinsic
def _load_entry(_typing: Any, address: Any, at: Any) -> Any:
    """Number `at` of the int32 that begin at an address, as an int64."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.sext(builder.load(_place(builder, arguments, INDEX), align=4), WORD)

    return types.int64(address, at), generate


@intrinsic
def _load_number(_typing: Any, address: Any, at: Any) -> Any:
    """Number `at` of the int64 that begin at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.load(_place(builder, arguments, WORD), align=8)

    return types.int64(address, at), generate


@intrinsic
def _store_short(_typing: Any, address: Any, at: Any, number: Any) -> Any:
    """Write number `at` of the int16 that begin at an address."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        builder.store(builder.trunc(arguments[2], SHORT), _place(builder, arguments, SHORT), align=2)
        return context.get_dummy_value()

    return types.void(address, at, types.int64), generate


def _place(builder: Any, arguments: Any, kind: Any, step: Any = None) -> Any:
    """Where a number of `kind` is; those are counted, or the `step` type where it is given."""
    base = builder.inttoptr(arguments[0], (step or kind).as_pointer())
    return builder.bitcast(builder.gep(base, [arguments[1]]), kind.as_pointer())


# As they are called from compiled code.
load_word = cast(Callable[[int, int], np.uint64], _load_word)
store_word = cast(Callable[[int, int, np.uint64], None], _store_word)
load_number = cast(Callable[[int, int], int], _load_number)
load_entry = cast(Callable[[int, int], int], _load_entry)
store_short = cast(Callable[[int, int, int], None], _store_short)
