"""The index beside an image folder: where the codes of its JPEGs can be entered, so that crops are decoded alone.

A folder of parts, each of `IMAGES_A_PART` images in their order. A part is a NumPy file of big-endian words of 64 bits:
for each image the word at which its points begin, one more for where the last ones end, for each image a key of its
content, and the points (`resnet_exp.data.kernels.lossless.points`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import printable

IMAGES_A_PART = 8192
# Of a file the end is hashed: that of a JPEG depends on all that it codes.
HASHED_BYTES = 1024
Pixels = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
WORD = np.dtype(">u8")
NO_POINTS = np.empty(0, np.uint8)


class Indexed(NamedTuple):
    """What the index says of an image: a key of its content, and its points; none of a file that is not indexed."""

    key: int
    points: Words


def name_of(part: int) -> str:
    """File of a part."""
    return f"part.{part:05d}.npy"


def fix(folder: Path) -> str:
    """What to do with an index that cannot be used."""
    return f"remove {printable(folder)} to write it again"


def key_of(content: memoryview) -> int:
    """Tells whether an image is the one that was indexed, wherever it lies and whenever it was copied."""
    return zlib.crc32(content[-HASHED_BYTES:]) << 32 | (len(content) & 0xFFFFFFFF)


def write_part(path: Path, images: Sequence[Indexed]) -> None:
    """Write a part, not yet under its own name if the system fails."""
    starts = 2 * len(images) + 1 + np.cumsum([0, *(image.points.size for image in images)])
    keys = np.array([image.key for image in images], np.uint64)
    words = np.concatenate([starts.astype(np.uint64), keys, *(image.points for image in images)])
    unfinished = path.with_name(f"{path.name}.partial")
    with unfinished.open("wb") as file:
        np.save(file, words.astype(WORD))
    unfinished.replace(path)


class JPEGIndex:
    """The index of a split, mapped into memory: processes of a machine share what they read of it."""

    def __init__(self, folder: Path, images: int) -> None:
        """Open the parts of `images` images.

        Raises:
            RequestError: a part cannot be read, or is of other images.
        """
        self._parts: list[tuple[Words, Words, Pixels]] = []
        for number, first in enumerate(range(0, images, IMAGES_A_PART)):
            path, count = folder / name_of(number), min(IMAGES_A_PART, images - first)
            try:
                words = np.load(path, mmap_mode="r")
            except (OSError, ValueError) as error:
                raise RequestError(f"{printable(path)} cannot be read ({error}); {fix(folder)}") from error
            if words.ndim != 1 or words.dtype != WORD or words.size < 2 * count + 1 or words[count] != words.size:
                raise RequestError(f"{printable(path)} is not of the images of this folder, or damaged; {fix(folder)}")
            # In the memory of the process, since each image asks for two of them.
            table = words[: 2 * count + 1].astype(np.uint64)
            self._parts.append((table[: count + 1], table[count + 1 :], words.view(np.uint8)))

    def points_of(self, image: int, content: memoryview) -> Pixels:
        """The points of an image, as bytes; none if it is not the one that was indexed."""
        starts, keys, words = self._parts[image // IMAGES_A_PART]
        row = image % IMAGES_A_PART
        start, end = int(starts[row]), int(starts[row + 1])
        if start == end or int(keys[row]) != key_of(content):
            return NO_POINTS
        return words[WORD.itemsize * start : WORD.itemsize * end]
