"""Image files decoded by PIL in worker processes: torchvision's ``ImageFolder`` behind a ``DataLoader``."""

from __future__ import annotations

import atexit
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from torchvision import transforms
from torchvision.datasets import ImageFolder

from resnet_exp.data.contract import Batch, Loader, Split
from resnet_exp.data.images import load_rgb

Key = tuple[int, int, int]


class SeededImages(ImageFolder):
    """An ``ImageFolder`` whose augmentation depends only on (seed, epoch, sample), not on the worker that does it."""

    def __init__(self, root: str, transform: transforms.Compose, seed: int) -> None:
        """See ``torchvision.datasets.ImageFolder``; samples are indexed by (epoch, index, side in pixels)."""
        super().__init__(root, transform=transform, loader=load_rgb)
        self.seed = seed

    def __getitem__(self, key: Key | int) -> tuple[Image.Image, int]:
        """Load and augment one sample: PIL image and class number."""
        epoch, index, side = key if isinstance(key, tuple) else (0, key, None)
        assert isinstance(self.transform, transforms.Compose)
        first = self.transform.transforms[0]
        if side is not None and isinstance(first, transforms.RandomResizedCrop):
            first.size = (side, side)
        python, numpy, default = random.getstate(), np.random.get_state(), torch.get_rng_state()
        stream = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
        random.seed(int(stream[0]))
        np.random.seed(stream[0])
        torch.default_generator.manual_seed(int(stream[1]))
        try:
            return super().__getitem__(index)
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(default)


class EpochSampler(DistributedSampler[Any]):
    """A ``DistributedSampler`` that tells each sample its epoch, and that can start in the middle of one."""

    skip: int = 0

    def __init__(self, dataset: SeededImages, split: Split) -> None:
        """`split` says which share of `dataset` is this rank's."""
        super().__init__(
            dataset,  # pyright: ignore[reportArgumentType]
            num_replicas=split.world_size,
            rank=split.rank,
            shuffle=split.train,
            seed=split.seed,
            drop_last=split.train,
        )
        self.split = split

    def __iter__(self) -> Iterator[Key]:
        """Yield epoch, index and side in pixels of the samples of this rank."""
        skip, self.skip = self.skip, 0
        size = self.split.batch_size
        for position, index in enumerate(super().__iter__()):
            if position >= skip:
                yield self.epoch, int(index), self.split.side(self.epoch, position // size, len(self) // size)


class FolderLoader(DataLoader[Batch]):
    """A ``DataLoader`` that keeps to the loader contract."""

    images: int

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration skip the epoch's first `batch` batches; Composer sets the sampler's epoch."""
        assert isinstance(self.sampler, EpochSampler) and self.batch_size is not None
        self.sampler.set_epoch(epoch)
        self.sampler.skip = batch * self.batch_size

    def close(self) -> None:
        """End the workers. They ignore SIGTERM, by which multiprocessing would end them at exit: it would hang."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()


def collate(samples: list[tuple[Image.Image, int]]) -> tuple[Tensor, Tensor]:
    """Stack PIL images of one size into uint8 NCHW, and their labels into int64 N."""
    # torch owns the copy: arrays straight from PIL are read-only.
    images = torch.stack([torch.from_numpy(np.array(image)) for image, _ in samples])
    return images.permute(0, 3, 1, 2).contiguous(), torch.tensor([label for _, label in samples])


def _ignore_signals(worker: int) -> None:
    # A scheduler signals every process of a job: workers must live until their rank has saved a checkpoint.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def _transform(split: Split) -> transforms.Compose:
    if not split.train:
        return transforms.Compose([transforms.Resize(split.resize), transforms.CenterCrop(split.crop)])
    steps: list[torch.nn.Module] = [
        transforms.RandomResizedCrop(split.crop, scale=split.crop_scale, ratio=split.crop_ratio)
    ]
    if split.hflip:
        steps.append(transforms.RandomHorizontalFlip())
    return transforms.Compose(steps)


def make_loader(split: Split) -> Loader:
    """Loader of ``root/train`` or ``root/val``; transforms of Composer 0.7.1 ``composer/datasets/imagenet.py``."""
    dataset = SeededImages(str(Path(split.root) / split.name), _transform(split), split.seed)
    sampler = EpochSampler(dataset, split)
    loader = FolderLoader(
        dataset,  # pyright: ignore[reportArgumentType]
        batch_size=split.batch_size,
        sampler=sampler,
        drop_last=split.train,
        collate_fn=collate,
        num_workers=split.num_workers,
        persistent_workers=split.num_workers > 0,
        prefetch_factor=split.prefetch_factor if split.num_workers else None,
        worker_init_fn=_ignore_signals,
        pin_memory=split.on_gpu,
        # Its own generator: a loader that draws from the global one would change MixUp after a resume.
        generator=torch.Generator().manual_seed(split.seed),
    )
    loader.images = len(dataset)
    atexit.register(loader.close)
    return loader  # pyright: ignore[reportReturnType]
