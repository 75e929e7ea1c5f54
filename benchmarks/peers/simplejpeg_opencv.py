"""simplejpeg at the smallest scale of the DCT at which the crop is as large as wanted, then OpenCV, in threads.

Variants: the name of an interpolation of OpenCV, ``area`` or ``linear``.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from passes import BATCH, SIDE, Epoch, main, random_box

cv2.setNumThreads(1)
# OpenCV's own names. Both of its kernels enlarge linearly.
KERNELS = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}
AHEAD = 2


def crop(content: bytes, box: tuple[int, ...] | None, kernel: int) -> Any:
    """A crop, or a random one and half of these mirrored, of a JPEG."""
    height, width = simplejpeg.decode_jpeg_header(content)[:2]
    top, left, high, wide = box or random_box(height, width)
    need = max(SIDE / high, SIDE / wide)
    least = (min(side, math.ceil(side * need)) for side in (height, width))
    pixels = simplejpeg.decode_jpeg(content, "RGB", True, False, *least, 1)
    rows, columns = pixels.shape[0] / height, pixels.shape[1] / width
    first, before = round(top * rows), round(left * columns)
    part = pixels[
        first : max(first + 1, round((top + high) * rows)), before : max(before + 1, round((left + wide) * columns))
    ]
    done = cv2.resize(part, (SIDE, SIDE), interpolation=kernel)
    return cv2.flip(done, 1) if box is None and random.random() < 0.5 else done


def loader(variant: str, folder: Path, threads: int) -> Epoch:
    """Threads that make a batch each, as both packages release the GIL."""
    paths = [path for path in folder.rglob("*") if path.is_file()]

    def batch(chosen: list[Path]) -> int:
        images = np.empty((BATCH, SIDE, SIDE, 3), np.uint8)
        for number, path in enumerate(chosen):
            images[number] = crop(path.read_bytes(), None, KERNELS[variant])
        return len(images)

    pool = ThreadPoolExecutor(threads)

    def epoch() -> Iterator[int]:
        order = random.sample(paths, len(paths))
        jobs = (pool.submit(batch, order[at : at + BATCH]) for at in range(0, len(order) - BATCH + 1, BATCH))
        pending = deque(islice(jobs, AHEAD + threads))
        while pending:
            yield pending.popleft().result()
            pending.extend(islice(jobs, 1))

    return epoch


def crops(variant: str, paths: list[str], boxes: list[list[int]]) -> bytes:
    """The same functions on given crops."""
    images = [
        crop(Path(path).read_bytes(), tuple(box), KERNELS[variant]) for path, box in zip(paths, boxes, strict=True)
    ]
    return np.stack(images).tobytes()


if __name__ == "__main__":
    main(loader, crops)
