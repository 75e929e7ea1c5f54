"""JPEG files without decoding them: their size, and the part of one around a crop as a JPEG of its own.

Both are compiled: Pillow takes longer to read a header than libjpeg-turbo to decode a small image.

A JPEG can be cut at its restart markers (ITU-T T.81, annexes B.2 and E.1.4): what is between two of them is coded
without regard to what comes before. JPEGs that this project writes have restart markers in every row of blocks
(`resnet_exp.data.conversion.encode`), so that what is outside of a crop is neither Huffman-decoded nor transformed.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import NamedTuple

import llvmlite.binding
import numpy as np
from numba import types

from resnet_exp.data.kernels.crops import Box
from resnet_exp.data.kernels.jit import inner, kernel, sources_digest
from resnet_exp.data.kernels.resize import Numbers, Pixels

# libjpeg-turbo decodes at n/8 of the size.
EIGHTHS = 8
# Pixels beside a pixel on which its colors depend if they are subsampled (jdsample.c, h2v2).
MARGIN = 2
# libjpeg-turbo enlarges the colors of narrower images in another way (jdsample.c).
LEAST_WIDTH = 8
START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN, FIRST_RESTART = 0xD8, 0xD9, 0xDA, 0xD0
INTERVAL, BASELINE, EXTENDED = 0xDD, 0xC0, 0xC1
# Restart markers are numbered modulo this.
RESTARTS = 8
COLORS = 3
# As Pillow has it: a file that claims more is made to exhaust the memory.
MOST_PIXELS = 178_956_970
MOST_FRAME_BYTES = 10 + 3 * COLORS

find_byte = types.ExternalFunction("memchr", types.uintp(types.uintp, types.int32, types.uintp))
copy_bytes = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))


def libffcv() -> str:
    """Path of FFCV's compiled library, found without importing FFCV, which compiles functions for seconds."""
    package = find_spec("ffcv")
    library = package and PathFinder.find_spec("ffcv._libffcv", package.submodule_search_locations)
    if not library or not library.origin:
        raise ImportError("FFCV is not installed, or not whole")
    return library.origin


# FFCV 1.0.2's decoder, without its package. Called by name, since compiled code is kept for later processes, in which
# the function has another address.
llvmlite.binding.load_library_permanently(libffcv())
decode_jpeg = types.ExternalFunction(
    "imdecode",
    types.int32(
        *(types.uintp, types.uint64, types.uint32, types.uint32, types.uintp, types.uint32, types.uint32),
        *(types.uint32, types.uint32, types.uint32, types.uint32, types.int32, types.int32),
    ),
)
# TurboJPEG's own functions, whose library FFCV's has loaded.
_make_decoder = types.ExternalFunction("tjInitDecompress", types.uintp())
_end_decoder = types.ExternalFunction("tjDestroy", types.int32(types.uintp))
_decompress = types.ExternalFunction(
    "tjDecompress2",
    types.int32(
        *(types.uintp, types.uintp, types.uint64, types.uintp, types.int32, types.int32, types.int32),
        *(types.int32, types.int32),
    ),
)
RGB, ACCURATE = 0, 4096


@inner
def decode_accurately(address: int, size: int, to: int, height: int, width: int) -> int:
    """Decode a JPEG to `height` x `width` pixels, RGB, with the transform that Pillow has.

    Its own size, or 1/2, 1/4 or 1/8 of it, rounded up. Returns 0, or else what the decoder says.
    """
    # One decoder for each image: it would keep the tables of an image for the next one that has none.
    decoder = _make_decoder()
    if decoder == 0:
        return -1
    status = _decompress(
        decoder, address, np.uint64(size), to, np.int32(width), np.int32(0), np.int32(height), np.int32(RGB),
        np.int32(ACCURATE),
    )  # fmt: skip
    _end_decoder(decoder)
    return status


@inner
def has_length(marker: int) -> bool:
    """Whether two bytes of length follow a marker; a decoder goes on behind those that have none, and behind fill."""
    return 0xBF < marker < 0xFF and not 0xD0 <= marker <= 0xD9


def _make_measure(sources: str) -> Callable[..., str]:
    def measure(data: Pixels, offsets: Numbers, sizes: Numbers, heights: Numbers, widths: Numbers) -> str:
        """Set `heights` and `widths` of the JPEGs at `offsets` in `data`; 0 for what is no JPEG of gray or RGB.

        ITU-T T.81, annex B: segments of a marker and a length, up to the one that begins a frame.
        """
        for number in range(len(offsets)):
            heights[number] = widths[number] = 0
            at, end = offsets[number], offsets[number] + sizes[number]
            if sizes[number] < 4 or data[at] != 0xFF or data[at + 1] != 0xD8:
                continue
            at += 2
            while at + 10 <= end and data[at] == 0xFF:
                marker = byte_at(data, at + 1)
                if marker == 0xFF:  # fill
                    at += 1
                    continue
                if not has_length(marker):
                    break
                if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                    if data[at + 9] not in (1, COLORS):  # CMYK
                        break
                    heights[number] = np.int64(data[at + 5]) << 8 | np.int64(data[at + 6])
                    widths[number] = np.int64(data[at + 7]) << 8 | np.int64(data[at + 8])
                    break
                at += 2 + (np.int64(data[at + 2]) << 8 | np.int64(data[at + 3]))
        # Makes the digest a variable of the closure; see `kernel`.
        return sources

    return kernel(measure)


measure = _make_measure(sources_digest())


class Window(NamedTuple):
    """A part of an image, in pixels of it."""

    top: int
    left: int
    height: int
    width: int


class _Layout(NamedTuple):
    """A JPEG's header: where the frame's segment and the first code begin; 0 for a JPEG that cannot be cut."""

    frame: int
    codes: int
    unit_height: int  # of the unit that is coded together, in pixels
    unit_width: int
    interval: int  # units between two restart markers; 0 without any


@inner
def byte_at(data: Pixels, at: int) -> int:
    """A byte as a number."""
    # Through a signed type: numba makes a float of an unsigned number and a signed one.
    return int(np.int64(data[at]))


@inner
def word_at(data: Pixels, at: int) -> int:
    """A number of two bytes."""
    return byte_at(data, at) << 8 | byte_at(data, at + 1)


@inner
def put_word(data: Pixels, at: int, value: int) -> None:
    """Write a number of two bytes."""
    data[at], data[at + 1] = value >> 8, value & 0xFF


@inner
def _layout(data: Pixels) -> _Layout:
    at, frame, high, wide, interval, parts = 2, 0, 0, 0, 0, 0
    if len(data) < 4 or data[0] != 0xFF or data[1] != START_OF_IMAGE:
        return _Layout(0, 0, 0, 0, 0)
    while at + MOST_FRAME_BYTES <= len(data) and data[at] == 0xFF:
        marker, length = byte_at(data, at + 1), word_at(data, at + 2)
        if not has_length(marker) or length < 2:
            break
        if marker == START_OF_SCAN:
            if frame == 0 or length != 6 + 2 * parts or data[at + 4] != parts:
                break
            return _Layout(frame, at + 2 + length, high, wide, interval)
        if marker in (BASELINE, EXTENDED) and data[at + 4] == 8:
            parts = byte_at(data, at + 9)
            if parts not in (1, COLORS) or length != 8 + 3 * parts:
                break
            # Gray has one block a unit. Brightness may have more samples than the two colors, which must have one.
            sampling = byte_at(data, at + 11) if parts == COLORS else 0x11
            if parts == COLORS and (data[at + 14] != 0x11 or data[at + 17] != 0x11):
                break
            if sampling not in (0x11, 0x21, 0x12, 0x22):
                break
            frame, high, wide = at, 8 * (sampling & 15), 8 * (sampling >> 4)
        elif marker == INTERVAL:
            interval = word_at(data, at + 4)
        at += 2 + length
    return _Layout(0, 0, 0, 0, 0)


@inner
def _next_marker(data: Pixels, at: int) -> int:
    """Where the next marker is, -1 if there is none."""
    base, last = data.ctypes.data, len(data) - 1
    while at < last:
        found = find_byte(base + at, 0xFF, last - at)
        if found == 0:
            return -1
        at = int(np.int64(found - base))
        if data[at + 1] != 0:
            return at
        at += 2
    return -1


@inner
def window_for_crop(box: Box, height: int, width: int, part: int) -> Window:
    """The part of an image of `height` x `width` pixels that a crop needs, decoded at `part` eighths of the size."""
    top = (box[0] * part) // EIGHTHS - MARGIN
    bottom = -((-(box[0] + box[2]) * part) // EIGHTHS) + MARGIN
    right = max(LEAST_WIDTH, -((-(box[1] + box[3]) * part) // EIGHTHS) + MARGIN)
    left = min((box[1] * part) // EIGHTHS - MARGIN, -((-width * part) // EIGHTHS) - LEAST_WIDTH)
    first_row, first_column = max(0, top * EIGHTHS // part), max(0, left * EIGHTHS // part)
    last_row, last_column = min(height, -(-bottom * EIGHTHS // part)), min(width, -(-right * EIGHTHS // part))
    return Window(first_row, first_column, last_row - first_row, last_column - first_column)


@inner
def cut(data: Pixels, height: int, width: int, need: Window, out: Pixels) -> tuple[int, Window]:
    """Write a JPEG of the units that cover a window into `out`.

    The header is copied with a new size, then the pieces between restart markers, whose markers are renumbered.

    Args:
        data: a JPEG.
        height: of its image, in pixels.
        width: likewise.
        need: what it must contain.
        out: at least two bytes more than `data`.

    Returns:
        Its size in bytes, and what it contains; 0 and the whole image if the JPEG cannot be cut, or need not be.
    """
    whole = Window(0, 0, height, width)
    layout = _layout(data)
    if layout.codes == 0 or layout.interval == 0 or len(out) < len(data) + 2:
        return 0, whole
    units, rows = -(-width // layout.unit_width), -(-height // layout.unit_height)
    if units % layout.interval != 0 or (height, width) != (
        word_at(data, layout.frame + 5),
        word_at(data, layout.frame + 7),
    ):
        return 0, whole
    step, pieces = layout.unit_width * layout.interval, units // layout.interval
    first_row, first_piece = need.top // layout.unit_height, need.left // step
    last_row, last_piece = -(-(need.top + need.height) // layout.unit_height), -(-(need.left + need.width) // step)
    if (last_row - first_row) * (last_piece - first_piece) == rows * pieces:
        return 0, whole
    top, left = first_row * layout.unit_height, first_piece * step
    part = Window(top, left, min(height, last_row * layout.unit_height) - top, min(width, last_piece * step) - left)
    copy_bytes(out.ctypes.data, data.ctypes.data, layout.codes)
    put_word(out, layout.frame + 5, part.height)
    put_word(out, layout.frame + 7, part.width)
    at, to, written = layout.codes, layout.codes, 0
    for number in range(last_row * pieces):
        end = _next_marker(data, at)
        expected = END_OF_IMAGE if number == rows * pieces - 1 else FIRST_RESTART + number % RESTARTS
        if end < 0 or data[end + 1] != expected:
            return 0, whole
        if number >= first_row * pieces and first_piece <= number % pieces < last_piece:
            copy_bytes(out.ctypes.data + to, data.ctypes.data + at, end - at)
            to += end - at
            out[to], out[to + 1] = 0xFF, FIRST_RESTART + written % RESTARTS
            written, to = written + 1, to + 2
        at = end + 2
    out[to - 1] = END_OF_IMAGE
    return to, part


@inner
def shorten(data: Pixels, height: int, width: int, need: Window, out: Pixels) -> tuple[int, Window]:
    """Write a JPEG that ends below a window into `out`: with a smaller height, and rows that the decoder skips.

    The decoder warns of what it skips. The end of the file must be there: it does not tell that from missing rows.

    Args:
        data: a JPEG.
        height: of its image, in pixels.
        width: likewise.
        need: what it must contain.
        out: at least as many bytes as `data`.

    Returns:
        Its size in bytes, and what it contains; 0 and the whole image if the JPEG cannot be shortened, or need not be.
    """
    whole, layout, end = Window(0, 0, height, width), _layout(data), len(data)
    if layout.codes == 0 or len(out) < end or data[end - 2] != 0xFF or data[end - 1] != END_OF_IMAGE:
        return 0, whole
    rows = min(height, -(-(need.top + need.height) // layout.unit_height) * layout.unit_height)
    if rows == height or (height, width) != (word_at(data, layout.frame + 5), word_at(data, layout.frame + 7)):
        return 0, whole
    copy_bytes(out.ctypes.data, data.ctypes.data, end)
    put_word(out, layout.frame + 5, rows)
    return end, Window(0, 0, rows, width)


@inner
def mark(row: Pixels) -> None:
    """Write what no row of pixels is."""
    for at in range(len(row)):
        row[at] = (37 * at + 11) & 0xFF


@inner
def is_marked(row: Pixels) -> bool:
    """Whether nothing was written since `mark`."""
    same = 0
    for at in range(len(row)):
        same += row[at] == (37 * at + 11) & 0xFF
    return same == len(row)
