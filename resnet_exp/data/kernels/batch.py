"""Stored samples to images: decode, crop, resize, flip and augment in one compiled pass over a batch.

The threads are Python's, not numba's: the compiled code releases the GIL, one build of it serves any number of threads,
and there is no thread pool of numba's that would compete with torch's or not survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, floor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.data.kernels.crops import Box, Crop, ExactBox
from resnet_exp.data.kernels.decoder.colors import BEYOND
from resnet_exp.data.kernels.decoder.ready import Decoder, Sizes, make_decoder
from resnet_exp.data.kernels.decoder.window import decode
from resnet_exp.data.kernels.intrinsics import take
from resnet_exp.data.kernels.jit import inner, kernel, sources_digest
from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, decode_whole, window_for_crop
from resnet_exp.data.kernels.lossless.header import MOST_ADDED
from resnet_exp.data.kernels.randaugment import randaugment
from resnet_exp.data.kernels.resize import (
    LEAST,
    Floats,
    Numbers,
    Pixels,
    add_rows,
    area_taps,
    bilinear_taps,
    linear_taps,
    shrink_row,
)
from resnet_exp.data.kernels.rng import AUGMENT, Stream, seed_stream
from resnet_exp.data.kernels.rule import AS_PILLOW, Rule, choose_crop, choose_flip, jpeg_scale


class Samples(NamedTuple):
    """What is known of the samples of a batch; arrays of one length."""

    is_jpeg: npt.NDArray[np.bool_]  # or else pixels, RGB
    height: Numbers
    width: Numbers
    offset: Numbers  # in the memory that holds all of them, in bytes
    size: Numbers  # in bytes
    points_size: Numbers  # in bytes, of the points of a JPEG, which lie behind it; 0 without any
    indices: npt.NDArray[np.uint64]


def to_read(data: Pixels) -> Pixels:
    """A view of memory that cannot be written to, as a mapped file's cannot be: one build serves both."""
    view = data.view()
    view.flags.writeable = False
    return view


class Scratch(NamedTuple):
    """Memory that one thread works in."""

    decoded: Pixels
    header: Pixels
    row: Floats
    numbers: Numbers
    weights: Floats
    stream: Stream
    image: Pixels
    counts: Numbers
    table: Pixels
    decoder: Decoder


def make_scratch(sizes: Sizes, side: int) -> Scratch:
    """Memory for images of at most these sizes and outputs of at most `side`, in pixels."""
    taps = 2 * sizes.side + 2 * side
    return Scratch(
        decoded=np.empty(sizes.pixels * 3 + BEYOND, np.uint8),
        # Of a JPEG; one that is larger than its pixels is decoded whole.
        header=np.empty(sizes.pixels * 3 + MOST_ADDED, np.uint8),
        # One more than is used: `weighted_pixel` reads four numbers at a time.
        row=np.zeros(3 * sizes.width + 1, np.float32),
        numbers=np.empty(2 * side, np.int64),
        weights=np.empty(2 * taps, np.float32),
        stream=np.empty(1, np.uint64),
        image=np.empty(side * side * 3, np.uint8),
        counts=np.empty((3, 256), np.int64),
        table=np.empty((3, 256), np.uint8),
        decoder=make_decoder(sizes),
    )


@inner
def _bounds(start: float, length: float, limit: int) -> tuple[int, int]:
    """The pixels of an axis that a part of it touches."""
    return floor(start + LEAST), min(limit, ceil(start + length - LEAST))


@inner
def resized(
    source: Pixels, place: Window, shape: tuple[int, int], box: ExactBox, bounds: ExactBox, bilinear: bool, flip: bool,
    out: Pixels, row: Floats, numbers: Numbers, weights: Floats,
) -> None:  # fmt: skip
    """Crop, resize and flip.

    Args:
        source: pixels of an image or of a part of it, flat RGB.
        place: which part.
        shape: height and width of the image.
        box: top, left, height and width of the crop in the image's pixels; whole numbers where an axis is enlarged
            and not `bilinear`.
        bounds: likewise, of the pixels that are used if `bilinear`.
        bilinear: as Pillow does; or else as OpenCV's ``INTER_AREA``.
        flip: mirror left and right.
        out: the result, uint8 HWC.
        row: memory for the work; see `make_scratch`.
        numbers: likewise.
        weights: likewise.
    """
    top, left, high, wide = box
    rows, columns = out.shape[0], out.shape[1]
    half = len(weights) // 2
    row_weights, column_weights = weights[:half], weights[half:]
    first_row, first_column = numbers[:rows], numbers[rows : rows + columns]
    if bilinear:
        low, end = _bounds(bounds[0], bounds[2], shape[0])
        row_taps = bilinear_taps(top, high, low, end, first_row, row_weights)
        low, end = _bounds(bounds[1], bounds[3], shape[1])
        column_taps = bilinear_taps(left, wide, low, end, first_column, column_weights)
    elif high >= rows and wide >= columns:
        row_taps = area_taps(top, high, shape[0], first_row, row_weights)
        column_taps = area_taps(left, wide, shape[1], first_column, column_weights)
    else:
        row_taps = linear_taps(int(top), int(high), shape[0], first_row, row_weights)
        column_taps = linear_taps(int(left), int(wide), shape[1], first_column, column_weights)
    begin_column, stride = first_column[0], 3 * place.width
    line = row[: 3 * (first_column[columns - 1] + column_taps - begin_column)]
    for position in range(rows):
        start = (first_row[position] - place.top) * stride + 3 * (begin_column - place.left)
        add_rows(source, stride, start, row_weights[position * row_taps : (position + 1) * row_taps], line)
        shrink_row(line, begin_column, first_column, column_taps, column_weights, flip, out[position].reshape(-1))


@inner
def augment(rule: Rule, scratch: Scratch, index: np.uint64, image: Pixels) -> None:
    """Apply RandAugment, if the rule says so."""
    if rule.augment.depth > 0:
        seed_stream(scratch.stream, rule.key, index, AUGMENT)
        spare = scratch.image[: image.size].reshape(image.shape)
        randaugment(rule.augment, scratch.stream, image, spare, scratch.counts, scratch.table)


@inner
def _scaled(length: int, part: int) -> int:
    """Pixels of a side that libjpeg-turbo decodes at `part` eighths: it rounds up."""
    return (length * part + EIGHTHS - 1) // EIGHTHS


@inner
def _at(box: Box | ExactBox, share: float) -> ExactBox:
    """A box in an image that is decoded at a share of its size."""
    return box[0] * share, box[1] * share, box[2] * share, box[3] * share


@inner
def load_jpeg(
    data: Pixels, points: Pixels, shape: tuple[int, int], crop: Crop, part: int, as_pillow: bool, flip: bool,
    scratch: Scratch, out: Pixels,
) -> int:  # fmt: skip
    """Make an image of a JPEG.

    Damage behind what the crop needs is passed over.

    Args:
        data: the JPEG.
        points: of it in an index, as bytes; empty without any.
        shape: height and width of its image, in pixels.
        crop: of it.
        part: eighths of its size at which it is decoded: 8, 4, 2 or 1.
        as_pillow: decode and resize as Pillow.
        flip: mirror left and right.
        scratch: memory to work in.
        out: the result, uint8 HWC.

    Returns:
        0, or else what the JPEG decoder says.
    """
    high, wide = _scaled(shape[0], part), _scaled(shape[1], part)
    need, status = window_for_crop(crop.box, shape[0], shape[1], part), 0
    good, place = decode(
        data, points, shape, need, part, not as_pillow, scratch.decoder, scratch.header, scratch.decoded
    )
    if not good:
        status, place = decode_whole(data, scratch.decoded, high, wide, not as_pillow), Window(0, 0, high, wide)
    share = part / EIGHTHS
    resized(
        scratch.decoded, place, (high, wide), _at(crop.exact, share),
        _at(crop.box, share), as_pillow, flip, out,
        scratch.row, scratch.numbers, scratch.weights,
    )  # fmt: skip
    return status


@inner
def load_one(memory: Pixels, samples: Samples, number: int, rule: Rule, scratch: Scratch, out: Pixels) -> int:
    """Make image `number` of a batch; returns 0, or else what the JPEG decoder says."""
    height, width, index = samples.height[number], samples.width[number], samples.indices[number]
    offset, size = samples.offset[number], samples.size[number]
    data = memory[offset : offset + size]
    stream, row, numbers, weights = scratch.stream, scratch.row, scratch.numbers, scratch.weights
    crop = choose_crop(rule, stream, height, width, index, out.shape[0])
    flip, as_pillow = choose_flip(rule, stream, index), rule.like == AS_PILLOW
    if samples.is_jpeg[number]:
        part = jpeg_scale(rule, crop.exact, out)
        points = memory[offset + size : offset + size + samples.points_size[number]]
        return load_jpeg(data, points, (height, width), crop, part, as_pillow, flip, scratch, out)
    resized(
        data, Window(0, 0, height, width), (height, width), crop.exact, _at(crop.box, 1.0), as_pillow, flip, out,
        row, numbers, weights,
    )  # fmt: skip
    return 0


def _make_load(sources: str) -> Callable[..., str]:
    def load(
        memory: Pixels, samples: Samples, rule: Rule, scratch: Scratch, counter: Numbers, out: Pixels, status: Numbers
    ) -> str:
        """Make images of a batch until none is left; any number of threads may do so together.

        Args:
            memory: bytes that hold the samples; see `to_read`.
            samples: where the samples are in it.
            rule: how they become images.
            scratch: memory of this thread.
            counter: zero at first; shared by the threads of a batch.
            out: the images, uint8 NHWC.
            status: for each image 0, or else what the JPEG decoder says.
        """
        number = take(counter)  # pyright: ignore[reportCallIssue]
        while number < len(out):
            status[number] = load_one(memory, samples, number, rule, scratch, out[number])
            augment(rule, scratch, samples.indices[number], out[number])
            number = take(counter)  # pyright: ignore[reportCallIssue]
        # Makes the digest a variable of the closure, by which numba finds what it compiled; see `kernel`.
        return sources

    return kernel(load)


load = _make_load(sources_digest())
