"""What of an image file can be stored without decoding it."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from resnet_exp.data.kernels.jpeg import MOST_PIXELS, check, measure
from resnet_exp.data.kernels.lossless.points import Words, locate, most_words
from resnet_exp.data.kernels.lossless.restarts import Memory, mark, memory_for
from resnet_exp.data.kernels.resize import Pixels

LEAST_ROOM = 2**20


class JPEG(NamedTuple):
    """A JPEG, and the sides of its image in pixels."""

    content: Pixels
    height: int
    width: int


@cache
def _memory(room: int) -> Memory:
    return memory_for(room)


def marked(file: bytes) -> JPEG | None:
    """A JPEG of the same pixels with restart markers and without metadata; None if a file cannot be marked."""
    memory = _memory_for(file)
    size, height, width = mark(np.frombuffer(file, np.uint8), memory)
    return JPEG(memory.out[:size].copy(), height, width) if size > 0 else None


def points_of(file: bytes) -> Words:
    """The points of a JPEG (`resnet_exp.data.kernels.lossless.points`); none of a file that is not indexed."""
    words = np.empty(most_words(len(file)), np.uint64)
    return words[: locate(np.frombuffer(file, np.uint8), _memory_for(file), words)]


def _memory_for(file: bytes) -> Memory:
    room = max(LEAST_ROOM, 1 << len(file).bit_length())
    # What is rare takes no memory for long.
    return _memory(room) if room == LEAST_ROOM else memory_for(room)


def as_it_is(file: bytes) -> JPEG | None:
    """A JPEG that the readers decode without a warning, whatever it is; None if a file is none."""
    content, place = np.frombuffer(file, np.uint8), np.zeros(1, np.int64)
    sides = np.zeros((2, 1), np.int64)
    measure(content, place, place + content.size, sides[0], sides[1])
    height, width = (int(side) for side in sides[:, 0])
    if not 0 < height * width <= MOST_PIXELS:
        return None
    out = np.empty(3 * height * width, np.uint8)
    return JPEG(content, height, width) if check(content, out, height, width)[0] else None
