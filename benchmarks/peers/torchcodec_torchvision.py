"""TorchCodec's decoder, whose transforms are torchvision's, behind torch's ``DataLoader``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from passes import BATCH, RATIO, SCALE, SIDE, Epoch, main
from torch.utils.data import DataLoader
from torchcodec.decoders import decode_jpeg
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

# The consumer's process is not one that decodes, if there are worker processes.
torch.set_num_threads(1)


def loader(variant: str, folder: Path, threads: int) -> Epoch:
    """As torchvision's ``ImageFolder`` with ``decode_jpeg`` as its loader; `threads` above 1 are worker processes."""
    steps = v2.Compose([v2.RandomResizedCrop(SIDE, SCALE, RATIO, antialias=True), v2.RandomHorizontalFlip()])
    dataset = ImageFolder(str(folder), steps, loader=decode_jpeg)
    workers = threads if threads > 1 else 0
    batches = DataLoader(
        dataset, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )

    def epoch() -> Iterator[int]:
        for images, _labels in batches:
            yield len(images)

    return epoch


def crops(variant: str, paths: list[str], boxes: list[list[int]]) -> bytes:
    """The same functions on given crops."""
    images = [
        functional.resized_crop(decode_jpeg(path), *box, [SIDE, SIDE], antialias=True)
        for path, box in zip(paths, boxes, strict=True)
    ]
    return torch.stack(images).permute(0, 2, 3, 1).contiguous().numpy().tobytes()


if __name__ == "__main__":
    main(loader, crops)
