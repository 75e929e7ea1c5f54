"""What a JPEG's header says, made ready for its decoder: tables, factors, and where the pixels of components are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.decoder.coefficients import BLOCK_ROOM, ORDER
from resnet_exp.data.kernels.decoder.colors import BEYOND
from resnet_exp.data.kernels.decoder.transform import BETWEEN_BITS, FACTOR_BITS, FAST_FACTORS, SIDE
from resnet_exp.data.kernels.intrinsics import load_word, store_word
from resnet_exp.data.kernels.jit import inlined, inner
from resnet_exp.data.kernels.jpeg import COLORS, byte_at, word_at
from resnet_exp.data.kernels.lossless.header import ADOBE, JFIF, MOST_ADDED, QUANTIZATION, Header, no_header, rewrite
from resnet_exp.data.kernels.lossless.huffman import BLOCK, TABLES
from resnet_exp.data.kernels.lossless.points import Part
from resnet_exp.data.kernels.lossless.restarts import SLACK, Memory, memory_for, prepare_tables
from resnet_exp.data.kernels.lossless.units import VALUE_BYTES
from resnet_exp.data.kernels.resize import Numbers, Pixels

Shorts = npt.NDArray[np.int16]
# Bytes before and behind a row of a component, which the arithmetic on rows reads and writes.
BESIDE = BEYOND
# Of a component in `Work.values`: where its factors, its pixels and its rows are, and the side of its blocks in pixels.
FACTORS, PLANE, STRIDE, BLOCK_SIDE = 40, 48, 56, 64
# The names of segments: their first five bytes as a number.
JFIF_NAME, ADOBE_NAME = (int.from_bytes(name, "big") for name in (b"JFIF\0", b"Adobe"))


class Sizes(NamedTuple):
    """What memory depends on, of images: of each number the largest one, which need not be of the same image."""

    side: int  # in pixels
    width: int
    pixels: int
    line: int  # bytes of a row of a component
    plane: int  # of all of its rows


def sizes_of(heights: int | Numbers, widths: int | Numbers) -> Sizes:
    """Of images of these sides, in pixels."""
    lines = 2 * SIDE * -(-widths // (2 * SIDE)) + 2 * BESIDE
    planes = 2 * SIDE * -(-heights // (2 * SIDE)) * lines
    each = np.maximum(heights, widths), widths, heights * widths, lines, planes
    return Sizes(*(int(np.max(numbers)) for numbers in each))


class Decoder(NamedTuple):
    """Memory that one thread decodes in."""

    memory: Memory
    order: npt.NDArray[np.int32]
    block: Shorts
    tables: Shorts  # of quantization, row by row
    fast_factors: npt.NDArray[np.int64]
    factors: Shorts  # of each component, for the transform
    planes: Pixels  # of the components
    lines: Pixels  # of two colors, at the size of the image


def make_decoder(sizes: Sizes) -> Decoder:
    """Memory for images of at most these sizes."""
    return Decoder(
        # A JPEG that is larger than its pixels is not decoded here.
        memory=memory_for(COLORS * sizes.pixels, writes=False),
        order=np.array(ORDER, np.int32),
        block=np.zeros(BLOCK_ROOM, np.int16),
        tables=np.zeros(TABLES * BLOCK, np.int16),
        fast_factors=np.array(FAST_FACTORS, np.int64),
        factors=np.zeros(COLORS * BLOCK, np.int16),
        planes=np.zeros(COLORS * sizes.plane, np.uint8),
        lines=np.zeros(2 * sizes.line, np.uint8),
    )


@inner
def _read_tables(data: Pixels, at: int, end: int, tables: Shorts, order: npt.NDArray[np.int32]) -> None:
    """Read the tables of a quantization segment."""
    while at < end:
        number, wide, at = byte_at(data, at) & 15, byte_at(data, at) >> 4, at + 1
        for place in range(BLOCK):
            tables[number * BLOCK + order[place]] = word_at(data, at) if wide else byte_at(data, at)
            at += 2 if wide else 1


@inner
def _has_plain_colors(header: Header, out: Pixels, jfif: bool, adobe: int) -> bool:
    """Whether colors are brightness and two differences, as libjpeg decides; `adobe` is -1 without its segment."""
    named = True
    for component in range(header.components):
        named &= byte_at(out, header.frame_at + 10 + 3 * component) == component + 1
    return header.components == 1 or jfif or adobe == 1 or (adobe < 0 and named)


@inner
def read_header(data: Pixels, height: int, width: int, decoder: Decoder, out: Pixels) -> Header:
    """Write the header of a JPEG to `out`, and make its tables ready; one of size 0 if it cannot be decoded here."""
    memory = decoder.memory
    if len(data) + SLACK > len(memory.codes) or len(data) + MOST_ADDED > len(out):
        return no_header()
    header = rewrite(data, memory.tables, memory.selected, out)
    if header.size == 0 or (header.height, header.width) != (height, width) or not prepare_tables(memory, header):
        return no_header()
    at, jfif, adobe = 2, False, -1
    while at < header.size:
        marker, length = byte_at(out, at + 1), word_at(out, at + 2)
        name = word_at(out, at + 4) << 24 | word_at(out, at + 6) << 8 | byte_at(out, at + 8)
        if marker == QUANTIZATION:
            _read_tables(out, at + 4, at + 2 + length, decoder.tables, decoder.order)
        elif marker == JFIF and length >= 16:
            jfif |= name == JFIF_NAME
        elif marker == ADOBE and length >= 14 and name == ADOBE_NAME:
            adobe = byte_at(out, at + 15)
        at += 2 + length
    return header if _has_plain_colors(header, out, jfif, adobe) else no_header()


@inner
def _put_factors(decoder: Decoder, component: int, table: int, fast: bool) -> None:
    half = 1 << (FACTOR_BITS - BETWEEN_BITS - 1)
    for place in range(BLOCK):
        factor = np.int64(np.uint16(decoder.tables[table * BLOCK + place]))
        if fast:
            factor = (factor * decoder.fast_factors[place] + half) >> (FACTOR_BITS - BETWEEN_BITS)
        decoder.factors[component * BLOCK + place] = factor


@inner
def lay_out(header: Header, part: Part, scale: int, fast: bool, decoder: Decoder, out: Pixels) -> None:
    """Say of the components where their pixels are, and by what their coefficients are multiplied."""
    values, plane = decoder.memory.values.ctypes.data, decoder.planes.ctypes.data + BESIDE
    for component in range(header.components):
        # Where there are fewer colors than pixels, in both directions, libjpeg decodes them at a larger size.
        side = min(SIDE, 2 * scale) if component > 0 and header.luma == 4 else scale
        high, wide = (header.unit_height // SIDE, header.unit_width // SIDE) if component == 0 else (1, 1)
        stride, table = (part.right - part.left) * wide * side + 2 * BESIDE, header.frame_at + 12 + 3 * component
        _put_factors(decoder, component, byte_at(out, table), fast and side == SIDE)
        place = VALUE_BYTES * component
        factors = decoder.factors.ctypes.data + component * BLOCK * decoder.factors.itemsize
        store_word(values, place + FACTORS, np.uint64(factors))
        store_word(values, place + PLANE, np.uint64(plane))
        store_word(values, place + STRIDE, np.uint64(stride))
        store_word(values, place + BLOCK_SIDE, np.uint64(side))
        plane += stride * high * side * (part.last_row - part.first_row)


@inlined
def value_at(values: int, place: int) -> int:
    """A number of `Work.values`."""
    return int(np.int64(load_word(values, place)))
