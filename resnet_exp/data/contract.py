"""The loader contract: what every data format gives to the trainer.

A *make_loader* takes a `Split` and its own settings and returns a `Loader`: an iterable with a length and a
``batch_size`` that yields ``(images, labels)``, images as uint8 NCHW and labels as int64 N. Normalization is done once,
on the device, by `normalized`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

Batch = tuple[Tensor, Tensor]
# Label of an image that only pads the evaluation batch of a rank: metrics ignore it.
IGNORED = -100


@dataclass(frozen=True)
class Split:
    """One split of a dataset as one rank loads it; sizes in pixels, ``batch_size`` in images a rank."""

    train: bool
    root: str
    classes: int
    batch_size: int
    crop: int
    resize: int
    crop_scale: tuple[float, float]
    crop_ratio: tuple[float, float]
    hflip: bool
    seed: int
    rank: int
    world_size: int
    num_workers: int
    prefetch_factor: int
    on_gpu: bool
    # Side in pixels of the images of a batch, from epoch, batch in the epoch, batches per epoch; None: always `crop`.
    side_at: Callable[[int, int, int], int] | None = None

    def side(self, epoch: int, batch: int, batches: int) -> int:
        """Side in pixels of the images of a batch of an epoch of `batches` batches."""
        return self.crop if self.side_at is None else self.side_at(epoch, batch, batches)

    @property
    def name(self) -> str:
        """``train`` or ``val``: the folder, and the name in messages."""
        return "train" if self.train else "val"


class Loader(Protocol):
    """An iterable of batches that can start an epoch at a given batch."""

    batch_size: int
    images: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration be that of `epoch`, without its first `batch` batches."""
        ...


@runtime_checkable
class Augmenting(Protocol):
    """A loader that applies RandAugment while it makes images."""

    def randaugment(self, augmentation_set: str, severity: float, depth: int) -> None:
        """Settings of ``composer.algorithms.RandAugment``, from the next epoch's start."""
        ...
