"""JPEGs decoded as the loaders do it, and by libjpeg-turbo, to compare both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from resnet_exp.data.kernels.batch import make_scratch, to_read
from resnet_exp.data.kernels.decoder.ready import sizes_of
from resnet_exp.data.kernels.decoder.window import decode
from resnet_exp.data.kernels.jit import kernel, sources_digest
from resnet_exp.data.kernels.jpeg import EIGHTHS, Window, decode_whole, measure, window_for_crop
from support.jpegs import Bytes

Box = tuple[int, int, int, int]
SCALES = (8, 4, 2, 1)


def _make_run(sources: str) -> Callable[..., tuple[bool, Window, int, int]]:
    def run(
        data: Any, points: Any, shape: Any, need: Any, scale: int, fast: bool, scratch: Any, out: Any, whole: Any
    ) -> Any:
        high, wide = -(-shape[0] * scale // 8), -(-shape[1] * scale // 8)
        status = decode_whole(data, whole, high, wide, fast)
        good, place = decode(data, points, shape, need, scale, fast, scratch.decoder, scratch.header, out)
        return good, place, status, len(sources)

    # Kept on disk: compiling it takes longer than all of its tests.
    return kernel(run)


_run = _make_run(sources_digest())


class Decoded(NamedTuple):
    """What a JPEG was decoded to."""

    window: Bytes | None  # what a crop needs, by the loaders' decoder; None if it refuses the file
    whole: Bytes | None  # the same pixels by libjpeg-turbo; None if it refuses the file, or warns
    place: Window  # of all that was decoded


def sides_of(jpeg: bytes) -> tuple[int, int]:
    """Height and width by the header; zeros for what is no JPEG of gray or RGB."""
    place, sides = np.zeros(1, np.int64), np.zeros((2, 1), np.int64)
    measure(np.frombuffer(jpeg, np.uint8), place, place + len(jpeg), sides[0], sides[1])
    return int(sides[0, 0]), int(sides[1, 0])


class Decoders:
    """Memory for images of a size, by which as many JPEGs as one likes are decoded."""

    def __init__(self, shape: tuple[int, int]) -> None:
        """`shape` is height and width in pixels."""
        # Small images may have larger headers than pixels.
        self._shape, room = shape, (max(shape[0], 200), max(shape[1], 200))
        self._scratch = make_scratch(sizes_of(*room), 32)
        self._whole, self._out = (np.empty_like(self._scratch.decoded) for _ in range(2))

    def decode(
        self, jpeg: bytes, box: Box | None = None, scale: int = 8, fast: bool = False, points: Bytes | None = None
    ) -> Decoded:
        """Decode what a crop needs; the whole without a crop."""
        height, width = self._shape
        box = box or (0, 0, height, width)
        need = window_for_crop(box, height, width, scale)
        data, empty = to_read(np.frombuffer(jpeg, np.uint8)), np.empty(0, np.uint8)
        known = to_read(empty if points is None else points)
        good, place, status, _ = _run(
            data, known, self._shape, need, scale, fast, self._scratch, self._out, self._whole
        )
        high, wide = (-(-side * scale // EIGHTHS) for side in self._shape)
        whole = self._whole[: 3 * high * wide].reshape(high, wide, 3)
        # The pixels of the crop, and one on each side, of which bilinear interpolation takes a part.
        top, left = (max(0, at * scale // EIGHTHS - 1) for at in box[:2])
        bottom = min(high, -(-(box[0] + box[2]) * scale // EIGHTHS) + 1)
        right = min(wide, -(-(box[1] + box[3]) * scale // EIGHTHS) + 1)
        found = None
        if good:
            part = self._out[: 3 * place.height * place.width].reshape(place.height, place.width, 3)
            found = part[top - place.top : bottom - place.top, left - place.left : right - place.left].copy()
        return Decoded(found, None if status else whole[top:bottom, left:right].copy(), place)


def random_box(shape: tuple[int, int], random: np.random.Generator) -> Box:
    """A crop of any size."""
    high, wide = (int(random.integers(1, side + 1)) for side in shape)
    return int(random.integers(0, shape[0] - high + 1)), int(random.integers(0, shape[1] - wide + 1)), high, wide
