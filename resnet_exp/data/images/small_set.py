"""How many images a small split has, and how large they are; a large one is not read to its end."""

from __future__ import annotations

import itertools
import statistics
from functools import lru_cache
from pathlib import Path

from resnet_exp.core import files
from resnet_exp.core.errors import RequestError
from resnet_exp.data.images import fingerprint, image_tree

# Images whose sizes are looked at.
MOST_SAMPLED = 64


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
    found = (path for name, _ in times for path in image_tree.images(split_dir / name))
    paths = sorted(itertools.islice(found, below))
    if len(paths) == below:
        return None
    sides = [side for path in paths[:: len(paths) // MOST_SAMPLED + 1] if (side := _shorter_side(path)) is not None]
    return len(paths), statistics.median_low(sides) if sides else None


def _shorter_side(path: str) -> int | None:
    """Read from the head of an image file; None if it cannot be."""
    # Imported late: it takes a tenth of a second.
    from PIL import Image

    try:
        with files.open_regular(path) as file, Image.open(file) as image:
            return min(image.size)
    except Exception:
        return None  # of damaged files Pillow raises anything; who decodes them says so
