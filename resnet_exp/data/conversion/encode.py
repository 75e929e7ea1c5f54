"""One image as it is stored: resized, then raw pixels or a JPEG, exactly as ``ffcv.fields.RGBImageField`` has them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.records import Fraction
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion.cache import MAX_SIDE
from resnet_exp.data.images.image_file import Pixels, decode, read

# Side in pixels of the unit that a JPEG codes together: OpenCV subsamples colors 2x2.
UNIT = 16
# Nothing is decoded: JPEGs are those of the files.
SOURCE = "source"


@dataclass(frozen=True)
class Settings:
    """How images are stored.

    Attributes:
        write_mode: ``raw``, ``jpg``, ``proportion`` or ``source``.
        max_resolution: longest side in pixels; None keeps every size, as ``source`` does.
        compress_probability: share of the images that ``proportion`` stores as JPEG.
        jpeg_quality: 1 to 100.
        most_pixels: of an image that the format can hold; None: any number.
        most_bytes: of one that ``source`` stores.
    """

    write_mode: str
    max_resolution: int | None
    compress_probability: Fraction
    jpeg_quality: int
    most_pixels: int | None = None
    most_bytes: int | None = None


# What ``source`` makes of a file that cannot have restart markers.
AS_IT_IS, ENCODED = "stored as it is", "encoded anew"
Unmarked = Literal["stored as it is", "encoded anew"]


@dataclass(frozen=True)
class Encoded:
    """An image that is ready to be written; sides in pixels."""

    is_jpeg: bool  # else pixels
    width: int
    height: int
    content: Pixels
    unmarked: Unmarked | None = None


def as_jpeg(name: str, settings: Settings) -> bool:
    """Whether an image is stored as JPEG; with ``proportion`` a hash of its name decides, so that it never changes."""
    if settings.write_mode != "proportion":
        return settings.write_mode == "jpg"
    share = int.from_bytes(hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest(), "little")
    return share < settings.compress_probability * 2**64


def restart_interval(width: int) -> int:
    """Units of 16x16 pixels between two restart markers of a JPEG that is `width` pixels wide.

    At a restart marker a decoder can begin. A row of units is a multiple of the interval, so that any rectangle can be
    cut out
    (`resnet_exp.data.kernels.jpeg`). An interval of two takes 2 % of the bytes of a photograph, one of one 3 %
    (benchmarks/jpeg.py).
    """
    units = -(-width // UNIT)
    return next((interval for interval in range(2, 9) if units % interval == 0), 1)


def encode(path: str, name: str, settings: Settings) -> Encoded:
    """Read and encode one image; `name` is its path below the split's folder.

    Raises:
        RunFailed: it cannot be read or stored; names the file.
    """
    if settings.write_mode == SOURCE:
        return _of_source(path, name, settings)
    jpeg = as_jpeg(name, settings)
    # OpenCV encodes from BGR: decoding in that order saves a copy.
    pixels = _resized(decode(path, "BGR" if jpeg else "RGB"), path, settings)
    height, width = pixels.shape[:2]
    if not jpeg:
        return Encoded(False, width, height, pixels.reshape(-1))
    how = (cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality, cv2.IMWRITE_JPEG_RST_INTERVAL, restart_interval(width))
    done, content = cv2.imencode(".jpg", pixels, how)
    if not done:
        raise RunFailed(f"image {printable(path)} ({width}x{height} pixels) cannot be stored as JPEG; remove it")
    return Encoded(True, width, height, content.reshape(-1).astype(np.uint8, copy=False))


def _of_source(path: str, name: str, settings: Settings) -> Encoded:
    """The rule of docs/convert.md: with restart markers, else as it is, else encoded."""
    from resnet_exp.data.kernels.lossless import source  # imported late: other modes compile nothing

    file = read(path)
    if (jpeg := source.marked(file)) is not None:
        found = Encoded(True, jpeg.width, jpeg.height, jpeg.content)
    elif (jpeg := source.as_it_is(file)) is not None:
        found = Encoded(True, jpeg.width, jpeg.height, jpeg.content, AS_IT_IS)
    else:
        found = replace(encode(path, name, replace(settings, write_mode="jpg", max_resolution=None)), unmarked=ENCODED)
    if settings.most_bytes is not None and found.content.size > settings.most_bytes:
        raise RunFailed(
            f"image {printable(path)} ({found.width}x{found.height} pixels) is too large to be stored; set "
            "data.loader.write_mode=jpg, and data.loader.max_resolution to the longest side that you need"
        )
    return found


def _resized(pixels: Pixels, path: str, settings: Settings) -> Pixels:
    height, width = pixels.shape[:2]
    longest = settings.max_resolution or max(width, height)
    ratio = min(1.0, longest / max(width, height))
    new_width, new_height = int(ratio * width), int(ratio * height)
    if min(new_width, new_height) < 1 or max(new_width, new_height) > MAX_SIDE:
        raise RunFailed(
            f"image {printable(path)} ({width}x{height} pixels) is too long and thin to store; "
            "remove it from dataset.dir"
        )
    if settings.most_pixels is not None and new_width * new_height > settings.most_pixels:
        raise RunFailed(
            f"image {printable(path)} ({width}x{height} pixels) is too large to be stored; set "
            "data.loader.max_resolution to the longest side that you need"
        )
    if ratio == 1.0:
        return np.ascontiguousarray(pixels)
    done = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA)
    return done.astype(np.uint8, copy=False)
