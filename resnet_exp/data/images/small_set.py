"""How many images a small split has, and how large they are; a large one is not read to its end."""

from __future__ import annotations

import statistics
from functools import lru_cache
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.data.images import fingerprint, image_tree


def small_set(split_dir: Path, below: int) -> tuple[int, int | None] | None:
    """Number of images and the median of their shorter sides in pixels, of a sample (None: none can be read).

    None if there is no such folder, or it has `below` images or more.
    """
    try:
        return _read(split_dir, fingerprint.folder_times(split_dir), below)
    except (RequestError, OSError):
        return None  # who needs the images says what is wrong with them


@lru_cache(maxsize=8)
def _read(split_dir: Path, times: tuple[tuple[str, int], ...], below: int) -> tuple[int, int | None] | None:
    # Known by its name: importing Pillow takes a tenth of a second.
    from PIL import Image

    names = [name for name, _ in times]
    found = (path for name in names for path in image_tree.images(split_dir / name))
    if sum(1 for _, _ in zip(range(below), found, strict=False)) == below:
        return None
    scan = fingerprint.scan_split(split_dir)
    sides: list[int] = []
    for name, *_ in scan.state.sampled:
        try:
            with Image.open(split_dir / name) as image:
                sides.append(min(image.size))
        except Exception:
            continue  # of damaged files Pillow raises anything; who decodes them says so
    return sum(scan.state.class_images), statistics.median_low(sides) if sides else None
