"""Image files decoded by PIL in worker processes: torchvision's ``ImageFolder`` behind a ``DataLoader``."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.datasets import ImageFolder

from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_file import load_rgb
from resnet_exp.data.worker_loader import EpochSampler, Key, WorkerLoader


class SeededImages(ImageFolder):
    """An ``ImageFolder`` whose augmentation depends only on (seed, epoch, sample), not on the worker that loads it.

    That of torchvision 0.29.2 takes random numbers from the worker's generators.
    """

    def __init__(self, root: str, transform: transforms.Compose, seed: int) -> None:
        """See ``torchvision.datasets.ImageFolder``; samples are indexed by (epoch, index, side in pixels)."""
        super().__init__(root, transform=transform, loader=load_rgb)
        self.seed = seed

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Names of the classes, and their numbers."""
        names = image_tree.class_names(Path(directory))
        return names, {name: number for number, name in enumerate(names)}

    @staticmethod
    def make_dataset(directory: str | Path, *_: object, **__: object) -> list[tuple[str, int]]:
        """Paths and class numbers of the images, by the rules of all formats."""
        return image_tree.samples(Path(directory))

    def __getitems__(self, keys: list[Key]) -> list[tuple[Image.Image, int]]:
        """Load and augment the samples of a batch: PIL images and class numbers."""
        # Saved once a batch: it takes a tenth of the time of an image.
        python, numpy, default = random.getstate(), np.random.get_state(), torch.get_rng_state()
        try:
            return [self._sample(*key) for key in keys]
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(default)

    def _sample(self, epoch: int, index: int, side: int) -> tuple[Image.Image, int]:
        assert isinstance(self.transform, transforms.Compose)
        first = self.transform.transforms[0]
        if isinstance(first, transforms.RandomResizedCrop):
            first.size = (side, side)
        stream = np.random.SeedSequence((self.seed, epoch, index)).generate_state(2)
        random.seed(int(stream[0]))
        np.random.seed(stream[0])
        torch.default_generator.manual_seed(int(stream[1]))
        return self[index]


def collate(samples: list[tuple[Image.Image, int]]) -> tuple[Tensor, Tensor]:
    """Stack PIL images of one size into uint8 NCHW, in the memory order NHWC, and their labels into int64 N."""
    pixels = np.stack([np.asarray(image) for image, _ in samples])
    labels = torch.tensor([label for _, label in samples])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), labels


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
    return WorkerLoader.of(dataset, EpochSampler(dataset, split), collate)  # pyright: ignore[reportReturnType]
