"""Random images in memory: how fast the device trains when the data costs nothing."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from resnet_exp.data.contract import Batch, Loader, Split


class SyntheticLoader:
    """The same few random batches again and again, in the loader contract."""

    def __init__(self, split: Split, images: int, distinct_images: int) -> None:
        """`images` is the size of the pretended split over all ranks; `distinct_images` really exist."""
        self.batch_size = split.batch_size
        self.images = images
        share = images // split.world_size
        self._length = share // split.batch_size if split.train else -(-share // split.batch_size)
        self._last = split.batch_size if split.train or share % split.batch_size == 0 else share % split.batch_size
        self._skip = 0
        random = torch.Generator().manual_seed(split.seed + split.rank)
        size = (min(distinct_images, split.batch_size), 3, split.crop, split.crop)
        device = "cuda" if split.on_gpu else "cpu"
        self._images = torch.randint(0, 256, size, dtype=torch.uint8, generator=random).to(device)
        self._labels = torch.randint(0, split.classes, size[:1], generator=random).to(device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches of the right size."""
        skip, self._skip = self._skip, 0
        for number in range(skip, self._length):
            size = self._last if number == self._length - 1 else self.batch_size
            chosen = torch.arange(size) % len(self._labels)
            yield self._images[chosen], self._labels[chosen]

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration leave out the first `batch` batches; every epoch is the same."""
        del epoch
        self._skip = batch


def make_loader(split: Split, train_images: int, val_images: int, distinct_images: int) -> Loader:
    """Loader of random images at the split's crop size."""
    return SyntheticLoader(split, train_images if split.train else val_images, distinct_images)
