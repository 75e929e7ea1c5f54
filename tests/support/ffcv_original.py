"""Writes files with FFCV's own writer: ``python ffcv_original.py IMAGES FOLDER MODE-MAX_RESOLUTION...``.

They are named ``MODE-MAX_RESOLUTION.ffcv``; 0 is no bound.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter

from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_file import load_rgb


class Images:
    """What FFCV's writer takes: images as PIL and torchvision decode them, and their classes."""

    def __init__(self, folder: str) -> None:
        self.samples = image_tree.samples(Path(folder))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], int]:
        path, label = self.samples[index]
        return np.asarray(load_rgb(path)), label


def main() -> None:
    images, folder, *names = sys.argv[1:]
    for name in names:
        mode, longest = name.split("-")
        field = RGBImageField(write_mode=mode, max_resolution=int(longest) or None, jpeg_quality=90)  # pyright: ignore
        writer = DatasetWriter(f"{folder}/{name}.ffcv", {"image": field, "label": IntField()}, num_workers=2)
        writer.from_indexed_dataset(Images(images), chunksize=4)


if __name__ == "__main__":
    main()
