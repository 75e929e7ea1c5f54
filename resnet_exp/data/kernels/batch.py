"""Stored samples to images: decode, crop, resize, flip and augment in one compiled pass over a batch.

The threads are Python's, not numba's: the compiled code releases the GIL, one build of it serves any number of threads,
and there is no thread pool of numba's that would compete with torch's or not survive a fork.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import find_spec
from typing import NamedTuple

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from numba import types

from resnet_exp.data.contract import Split
from resnet_exp.data.kernels.crops import Box, center_box, logarithms, random_box
from resnet_exp.data.kernels.intrinsics import take
from resnet_exp.data.kernels.jit import inner, kernel, sources_digest
from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, cut, is_marked, mark, shorten, window_for_crop
from resnet_exp.data.kernels.randaugment import Augment, randaugment
from resnet_exp.data.kernels.resize import Floats, Numbers, Pixels, add_rows, area_taps, linear_taps, shrink_row
from resnet_exp.data.kernels.rng import AUGMENT, CROP, FLIP, Stream, epoch_key, seed_stream, uniform


def _libffcv() -> str:
    """Path of FFCV's compiled library, found without importing FFCV, which compiles functions for seconds."""
    package = find_spec("ffcv")
    library = package and PathFinder.find_spec("ffcv._libffcv", package.submodule_search_locations)
    if not library or not library.origin:
        raise ImportError("FFCV is not installed, or not whole")
    return library.origin


# FFCV 1.0.2's decoder, without its package. Called by name, since compiled code is kept for later processes, in which
# the function has another address.
llvmlite.binding.load_library_permanently(_libffcv())
_decode_jpeg = types.ExternalFunction(
    "imdecode",
    types.int32(
        *(types.uintp, types.uint64, types.uint32, types.uint32, types.uintp, types.uint32, types.uint32),
        *(types.uint32, types.uint32, types.uint32, types.uint32, types.int32, types.int32),
    ),
)


class Samples(NamedTuple):
    """What is known of the samples of a batch; arrays of one length."""

    is_jpeg: npt.NDArray[np.bool_]  # or else pixels, RGB
    height: Numbers
    width: Numbers
    offset: Numbers  # in the memory that holds all of them, in bytes
    size: Numbers  # in bytes
    indices: npt.NDArray[np.uint64]


def to_read(data: Pixels) -> Pixels:
    """A view of memory that cannot be written to, as a mapped file's cannot be: one build serves both."""
    view = data.view()
    view.flags.writeable = False
    return view


# Sizes at which JPEGs are decoded: the whole one only, any eighths of it, or those for which libjpeg-turbo has vector
# instructions (1, 1/2, 1/4 and 1/8).
FULL_SIZE, ALL_FRACTIONS, FAST_FRACTIONS = range(3)


class Rule(NamedTuple):
    """How a sample becomes an image; the same for all samples of a batch."""

    train: bool
    key: np.uint64  # of the epoch's random numbers
    scale: tuple[float, float]
    log_ratio: tuple[float, float]
    flip: bool
    share: float  # evaluation: side of the crop over the short side of the image
    fractions: int  # at which of its sizes a JPEG is decoded
    augment: Augment


def rule_of(split: Split, epoch: int, fractions: int, augment: Augment) -> Rule:
    """The rule for the images of a split in an epoch."""
    return Rule(
        train=split.train,
        key=epoch_key(split.seed, epoch),
        scale=split.crop_scale,
        log_ratio=logarithms(split.crop_ratio),
        flip=split.hflip,
        share=split.crop / split.resize,
        fractions=fractions,
        augment=augment,
    )


class Scratch(NamedTuple):
    """Memory that one thread works in."""

    decoded: Pixels
    jpeg: Pixels
    row: Floats
    numbers: Numbers
    weights: Floats
    stream: Stream
    image: Pixels
    counts: Numbers
    table: Pixels


def make_scratch(height: int, width: int, side: int) -> Scratch:
    """Memory for images of at most `height` x `width` pixels and outputs of at most `side`."""
    taps = max(height, width) + 2 * side
    return Scratch(
        decoded=np.empty(height * width * 3, np.uint8),
        # A JPEG that is larger than its pixels is decoded whole; no header is longer than 1024 bytes.
        jpeg=np.empty(height * width * 3 + 1024, np.uint8),
        # One more than is used: `weighted_pixel` reads four numbers at a time.
        row=np.zeros(3 * width + 1, np.float32),
        numbers=np.empty(2 * side, np.int64),
        weights=np.empty(2 * taps, np.float32),
        stream=np.empty(1, np.uint64),
        image=np.empty(side * side * 3, np.uint8),
        counts=np.empty((3, 256), np.int64),
        table=np.empty((3, 256), np.uint8),
    )


@inner
def resized(
    source: Pixels, place: Window, shape: tuple[int, int], box: tuple[float, float, float, float], flip: bool,
    out: Pixels, row: Floats, numbers: Numbers, weights: Floats,
) -> None:  # fmt: skip
    """Crop, resize and flip.

    Args:
        source: pixels of an image or of a part of it, flat RGB.
        place: which part.
        shape: height and width of the image.
        box: top, left, height and width of the crop in the image's pixels; whole numbers where an axis is enlarged.
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
    if high >= rows and wide >= columns:
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
def jpeg_scale(rule: Rule, box: Box, out: Pixels) -> int:
    """Eighths of its size at which a JPEG is decoded: of those that the rule allows, as few as cover the output."""
    if rule.fractions == FULL_SIZE:
        return EIGHTHS
    need = max(out.shape[0] / box[2], out.shape[1] / box[3])
    part = min(EIGHTHS, max(1, int(np.ceil(need * EIGHTHS))))
    if rule.fractions == ALL_FRACTIONS:
        return part
    allowed = EIGHTHS
    while allowed >= 2 * part:
        allowed //= 2
    return allowed


@inner
def choose_box(rule: Rule, stream: Stream, height: int, width: int, index: np.uint64) -> Box:
    """The crop of a sample."""
    if not rule.train:
        return center_box(height, width, rule.share)
    seed_stream(stream, rule.key, index, CROP)
    return random_box(stream, height, width, rule.scale, rule.log_ratio)


@inner
def choose_flip(rule: Rule, stream: Stream, index: np.uint64) -> bool:
    """Whether a sample is mirrored."""
    seed_stream(stream, rule.key, index, FLIP)
    return rule.train and rule.flip and uniform(stream, 0.0, 1.0) < 0.5


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
def load_jpeg(
    data: Pixels, shape: tuple[int, int], box: Box, part: int, brief: bool, flip: bool, scratch: Scratch, out: Pixels
) -> int:
    """Make an image of a JPEG.

    Args:
        data: the JPEG.
        shape: height and width of its image, in pixels.
        box: the crop.
        part: eighths of its size at which it is decoded.
        brief: do not decode what is below the crop. Damage that the decoder only warns of is then passed over, as
            Pillow does.
        flip: mirror left and right.
        scratch: memory to work in.
        out: the result, uint8 HWC.

    Returns:
        0, or else what the JPEG decoder says.
    """
    height, width = shape
    need = window_for_crop(box, height, width, part)
    size, window = cut(data, height, width, need, scratch.jpeg)
    brief = brief and size == 0
    if brief:
        size, window = shorten(data, height, width, need, scratch.jpeg)
    share = part / EIGHTHS
    place = Window(
        _scaled(window.top, part), _scaled(window.left, part), _scaled(window.height, part), _scaled(window.width, part)
    )
    last = scratch.decoded[3 * (place.height - 1) * place.width : 3 * place.height * place.width]
    if brief:
        mark(last)
    address = data.ctypes.data if size == 0 else scratch.jpeg.ctypes.data
    high, wide = np.uint32(window.height), np.uint32(window.width)
    status = _decode_jpeg(
        address, np.uint64(len(data) if size == 0 else size), high, wide, scratch.decoded.ctypes.data,
        high, wide, np.uint32(0), np.uint32(0), np.uint32(part), np.uint32(EIGHTHS), np.int32(0), np.int32(0),
    )  # fmt: skip
    if brief and size > 0 and not is_marked(last):
        status = 0  # a warning
    exact = (box[0] * share, box[1] * share, box[2] * share, box[3] * share)
    resized(
        scratch.decoded, place, (_scaled(height, part), _scaled(width, part)), exact, flip, out,
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
    box = choose_box(rule, stream, height, width, index)
    flip = choose_flip(rule, stream, index)
    if samples.is_jpeg[number]:
        part, brief = jpeg_scale(rule, box, out), rule.fractions == FAST_FRACTIONS
        return load_jpeg(data, (height, width), box, part, brief, flip, scratch, out)
    exact = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    resized(data, Window(0, 0, height, width), (height, width), exact, flip, out, row, numbers, weights)
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
