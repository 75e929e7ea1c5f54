"""An image file to its pixels as 8-bit RGB, by the rules of docs/images.md.

The rules are torchvision's (``Image.convert("RGB")``), except for 16-bit gray, which Pillow would clip to white.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from resnet_exp.core import files
from resnet_exp.core.errors import RunFailed
from resnet_exp.core.terminal.text import one_line, printable

Pixels = npt.NDArray[np.uint8]
# What versions of Pillow call 16-bit gray.
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")
NO_RANGE = "pixels of mode {} have no range that is known; save it with 8 or 16 bits"
END_OF_JPEG = b"\xff\xd9"
# Of EXIF: the tag, and its value where nothing is to be rotated.
ORIENTATION, UPRIGHT = 0x0112, 1
Taken = TypeVar("Taken")


def unreadable(path: str, reason: str) -> RunFailed:
    """The error that names an image which cannot be read."""
    return RunFailed(f"image {printable(path)} cannot be read ({reason}); repair it or remove it from dataset.dir")


def to_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB: without alpha, the upper 8 of 16 bits, EXIF rotation not applied, the first of several frames.

    Raises:
        ValueError: the pixels have no known range (32 bits, floats).
    """
    if image.mode in SIXTEEN_BITS or (image.mode == "I" and image.format == "PNG"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(NO_RANGE.format(image.mode))
    if image.mode == "RGB":
        # `convert` would copy it.
        image.load()
        return image
    # Alpha is dropped. Of palettes with several transparent entries Pillow would warn; filters of warnings are not of a
    # thread, as decoding is.
    image.load()
    image.info.pop("transparency", None)
    return image.convert("RGB")


def load_rgb(path: str) -> Image.Image:
    """An image file decoded by Pillow; raises `RunFailed` that names the file if it cannot be read."""
    return _opened(path, lambda content, image: to_rgb(image))


@dataclass(frozen=True, slots=True)  # of a million images
class Facts:
    """What an image file holds.

    Attributes:
        width: in pixels, as in the file.
        height: in pixels, as in the file.
        mode: Pillow's name of its colors, such as ``RGB``, ``L`` for gray or ``CMYK``.
        rotated: whether its EXIF data asks for a rotation, which is not applied.
        digest: a hash of the file.
    """

    width: int
    height: int
    mode: str
    rotated: bool
    digest: bytes


def facts_of(path: str) -> Facts:
    """Decode an image file, and say what it holds; raises `RunFailed` that names the file if it cannot be read."""
    return _opened(path, _facts)


def facts_of_content(content: bytes, name: str) -> Facts:
    """The same of what an image file holds; raises `RunFailed` with `name` if it cannot be read."""
    return _taken(lambda: content, name, _facts)


def _facts(content: bytes, image: Image.Image) -> Facts:
    to_rgb(image)
    rotated = image.getexif().get(ORIENTATION, UPRIGHT) != UPRIGHT
    return Facts(*image.size, image.mode, rotated, hashlib.blake2b(content, digest_size=16).digest())


def decode(path: str, channels: str = "RGB") -> Pixels:
    """Pixels of an image file, HWC, of channels in the order ``RGB`` or ``BGR``.

    OpenCV decodes those JPEGs that it decodes exactly as Pillow does, because the pixels of a Pillow image must be
    copied into an array; Pillow decodes everything else.

    Raises:
        RunFailed: it cannot be read; names the file.
    """
    return _opened(path, lambda content, image: _pixels(content, image, channels))


def decode_content(content: bytes, name: str) -> Pixels:
    """Pixels, HWC and RGB, of what an image file holds; raises `RunFailed` with `name` if it cannot be read."""
    return _taken(lambda: content, name, lambda content, image: _pixels(content, image, "RGB"))


def _pixels(content: bytes, image: Image.Image, channels: str) -> Pixels:
    plain = _plain_jpeg(content, image, channels)
    if plain is not None:
        return plain
    rgb = np.asarray(to_rgb(image))
    return rgb if channels == "RGB" else cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)


def read(path: str) -> bytes:
    """Content of an image file; raises `RunFailed` that names the file if it cannot be read."""
    try:
        return files.read_bytes(path)
    except OSError as error:
        raise unreadable(path, _reason(error)) from error


def _opened(path: str, take: Callable[[bytes, Image.Image], Taken]) -> Taken:
    """What `take` makes of a file's content and of the image that Pillow finds in it."""
    return _taken(lambda: files.read_bytes(path), path, take)


def _taken(read: Callable[[], bytes], name: str, take: Callable[[bytes, Image.Image], Taken]) -> Taken:
    try:
        content = read()
        with Image.open(io.BytesIO(content)) as image:
            return take(content, image)
    except Exception as error:
        # On damaged files decoders raise anything: struct.error, KeyError, zlib.error, MemoryError...
        raise unreadable(name, _reason(error)) from error


def _plain_jpeg(content: bytes, image: Image.Image, channels: str) -> Pixels | None:
    """An RGB JPEG decoded by OpenCV; None leaves the file to Pillow.

    OpenCV fills the missing rows of a truncated file with gray and reports no error: hence the check of the end.
    """
    if image.format != "JPEG" or image.mode != "RGB" or not content.endswith(END_OF_JPEG):
        return None
    order = cv2.IMREAD_COLOR_RGB if channels == "RGB" else cv2.IMREAD_COLOR_BGR
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), order | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    if pixels is None or pixels.shape != (image.height, image.width, 3):
        return None
    return pixels.astype(np.uint8, copy=False)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "cannot identify image file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error) or type(error).__name__
