"""Random images in memory, to measure how fast a device trains if loading takes no time.

They are as those of FFCV files: bytes, dense NHWC, normalized to the same type. So their speed is the limit of
``data=ffcv``.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from resnet_exp.data.contract import IGNORED, Batch, Loader, Split


class SyntheticLoader:
    """A few random images, repeated; the split is the same on any number of ranks."""

    def __init__(self, split: Split, images: int, distinct_images: int) -> None:
        """`images` is the size of the pretended split over all ranks; `distinct_images` really exist."""
        self.batch_size = split.batch_size
        self._split, self._epoch = split, 0
        self.images = images
        self._rank, self._world = split.rank, split.world_size
        together = split.batch_size * split.world_size
        self._length = images // together if split.train else -(-images // together)
        self._skip = 0
        random = torch.Generator().manual_seed(split.seed)
        size = (min(distinct_images, together), 3, split.crop, split.crop)
        self._device = torch.device("cuda" if split.on_gpu else "cpu")
        pixels = torch.randint(0, 256, size, dtype=torch.uint8, generator=random)
        self._images = pixels.permute(0, 2, 3, 1).contiguous().to(self._device)
        self._labels = torch.randint(0, split.classes, size[:1], generator=random).to(self._device)

    def __len__(self) -> int:
        """Batches an epoch."""
        return self._length

    def __iter__(self) -> Iterator[Batch]:
        """Yield this rank's share of each batch: at least one image, though it may be padding."""
        skip, self._skip = self._skip, 0
        together = self.batch_size * self._world
        for number in range(skip, self._length):
            end = min((number + 1) * together, self.images)
            # The same number on every rank: collective operations wait for all of them.
            share = -(-(end - number * together) // self._world)
            side = self._split.side(self._epoch, number, self._length)
            # All on the device, by operations that do not wait for it.
            numbers = torch.arange(share, device=self._device) * self._world + (number * together + self._rank)
            chosen = numbers % len(self._labels)
            pixels = self._images[:, :side, :side].index_select(0, chosen).permute(0, 3, 1, 2)
            yield pixels, self._labels.index_select(0, chosen).masked_fill(numbers >= end, IGNORED)
        self._epoch += 1

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration be that of `epoch` without its first `batch` batches; the images are the same."""
        self._epoch, self._skip = epoch, batch


def make_loader(split: Split, train_images: int, val_images: int, distinct_images: int) -> Loader:
    """Loader of random images at the split's crop size."""
    return SyntheticLoader(split, train_images if split.train else val_images, distinct_images)
