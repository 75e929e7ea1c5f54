"""Batches of image files that are in memory: JPEGs stay encoded for compiled code, Pillow decodes the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from resnet_exp.data.kernels.batch import Samples
from resnet_exp.data.kernels.jpeg import MOST_PIXELS, measure
from resnet_exp.data.kernels.resize import Numbers, Pixels
from resnet_exp.data.thread_loader import Indices, Stored


class Room:
    """Memory for the files of a batch, and then for those of a later one.

    Pages of new memory are cleared by the system, which takes longer than to copy a file into them.
    """

    def __init__(self) -> None:
        self.data, self.used = np.empty(0, np.uint8), 0
        self.offsets, self.sizes, self.points = list[int](), list[int](), list[int]()

    def clear(self) -> None:
        """Begin with another batch."""
        self.used = 0
        for each in (self.offsets, self.sizes, self.points):
            each.clear()

    def add(self, size: int) -> Pixels:
        """Memory for the next file."""
        self.offsets.append(self.used)
        self.sizes.append(size)
        self.points.append(0)
        return self.take(size)

    def add_points(self, points: Pixels) -> None:
        """Put points of an index behind the last file."""
        self.points[-1] = points.size
        self.take(points.size)[:] = points

    def take(self, size: int) -> Pixels:
        """The next `size` bytes; `data` may be another array from then on."""
        end = self.used + size
        if end > self.data.size:
            grown = np.empty(2 * end, np.uint8)
            grown[: self.used] = self.data[: self.used]
            self.data = grown
        taken, self.used = self.data[self.used : end], end
        return taken


def room_of(contents: Iterable[Pixels]) -> Room:
    """Image files, one after the other."""
    room = Room()
    for content in contents:
        room.add(content.size)[:] = content
    return room


def stored(room: Room, indices: Indices, labels: Numbers, redecoded: Callable[[int], Pixels]) -> Stored:
    """What is stored of a batch.

    Args:
        room: its image files; gets the pixels of those that are not JPEGs.
        indices: numbers of the images within their split.
        labels: their class numbers.
        redecoded: pixels, HWC, of an image that is not a JPEG, by its number; raises `RunFailed` if it has none.
    """
    offsets, sizes, points = (np.array(each, np.int64) for each in (room.offsets, room.sizes, room.points))
    heights, widths = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
    measure(room.data, offsets, sizes, heights, widths)
    pixels = heights * widths
    is_jpeg = (pixels > 0) & (pixels <= MOST_PIXELS)
    for row in np.flatnonzero(~is_jpeg):
        image = redecoded(int(indices[row]))
        offsets[row], sizes[row], points[row] = room.used, image.size, 0
        heights[row], widths[row] = image.shape[:2]
        room.take(image.size)[:] = image.reshape(-1)
    samples = Samples(is_jpeg, heights, widths, offsets, sizes, points, indices.astype(np.uint64))
    return Stored(room.data, samples, labels)
