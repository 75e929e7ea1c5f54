"""A tiny folder of real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

PhotoTree = Callable[..., Path]


def write_photos(root: Path) -> Path:
    """Write an image folder of 40 real images: two classes, 16 to train and 4 to evaluate each."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    for label in ("china", "flower"):
        photo = Image.fromarray(load_sample_image(f"{label}.jpg"))
        width, height = photo.width // 5, photo.height // 4
        for number in range(20):
            left, top = number % 5 * width, number // 5 * height
            folder = root / ("val" if number % 5 == 0 else "train") / label
            folder.mkdir(parents=True, exist_ok=True)
            tile = photo.crop((left, top, left + width, top + height)).resize((64, 56))
            tile.save(folder / f"{number:02d}.jpg")
    return root
