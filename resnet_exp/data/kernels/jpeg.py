"""JPEG files: their size, the pixels that a crop needs, their markers, and libjpeg-turbo, which decodes them whole.

Pillow takes longer to read a header than libjpeg-turbo to decode a small image.
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

find_byte = types.ExternalFunction("memchr", types.uintp(types.uintp, types.int32, types.uintp))
copy_bytes = types.ExternalFunction("memcpy", types.uintp(types.uintp, types.uintp, types.uintp))


def libffcv() -> str:
    """Path of FFCV's compiled library, found without importing FFCV, which compiles functions for seconds."""
    package = find_spec("ffcv")
    library = package and PathFinder.find_spec("ffcv._libffcv", package.submodule_search_locations)
    if not library or not library.origin:
        raise ImportError("FFCV is not installed, or not whole")
    return library.origin


# TurboJPEG's functions, whose library FFCV's has loaded. Called by name, since compiled code is kept for later
# processes, in which a function has another address.
llvmlite.binding.load_library_permanently(libffcv())
_make_decoder = types.ExternalFunction("tjInitDecompress", types.uintp())
_end_decoder = types.ExternalFunction("tjDestroy", types.int32(types.uintp))
_decompress = types.ExternalFunction(
    "tjDecompress2",
    types.int32(
        *(types.uintp, types.uintp, types.uint64, types.uintp, types.int32, types.int32, types.int32),
        *(types.int32, types.int32),
    ),
)
RGB, FAST, ACCURATE = 0, 2048, 4096


@inner
def decode_whole(data: Pixels, to: Pixels, height: int, width: int, fast: bool) -> int:
    """Decode a JPEG with libjpeg-turbo to `height` x `width` pixels, RGB.

    Its own size, or 1/2, 1/4 or 1/8 of it, rounded up; with the transform that FFCV has if `fast`, or else Pillow's.
    Returns 0, or else what the decoder says.
    """
    # One decoder for each image: it would keep the tables of an image for the next one that has none.
    decoder = _make_decoder()
    if decoder == 0:
        return -1
    status = _decompress(
        decoder, data.ctypes.data, np.uint64(len(data)), to.ctypes.data, np.int32(width), np.int32(0), np.int32(height),
        np.int32(RGB), np.int32(FAST if fast else ACCURATE),
    )  # fmt: skip
    _end_decoder(decoder)
    return status


def _make_check(sources: str) -> Callable[..., tuple[bool, str]]:
    def check(data: Pixels, out: Pixels, height: int, width: int) -> tuple[bool, str]:
        """Whether libjpeg-turbo decodes a JPEG to `out` without a warning."""
        # Makes the digest a variable of the closure; see `kernel`.
        return decode_whole(data, out, height, width, False) == 0, sources

    return kernel(check)


check = _make_check(sources_digest())


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
def next_marker(data: Pixels, at: int) -> int:
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
