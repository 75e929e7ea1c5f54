"""Loaders whose samples are made in worker processes: torch's ``DataLoader`` behind the loader contract."""

from __future__ import annotations

import atexit
import signal
from collections.abc import Callable, Iterator, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, DistributedSampler
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter
from typing_extensions import Self

from resnet_exp.data.contract import Batch, Split

# Epoch, index and side in pixels of a sample.
Key = tuple[int, int, int]


class EpochSampler(DistributedSampler[Any]):
    """A ``DistributedSampler`` that tells each sample its epoch, and that can start in the middle of one."""

    skip: int = 0

    def __init__(self, dataset: Sized, split: Split) -> None:
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


class WorkerLoader(DataLoader[Batch]):
    """A ``DataLoader`` that keeps to the loader contract."""

    images: int

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration skip the epoch's first `batch` batches; Composer sets the sampler's epoch."""
        assert isinstance(self.sampler, EpochSampler) and self.batch_size is not None
        self.sampler.set_epoch(epoch)
        self.sampler.skip = batch * self.batch_size

    def close(self) -> None:
        """End the workers. At exit multiprocessing would send them SIGTERM, which they ignore, and wait forever."""
        if isinstance(self._iterator, _MultiProcessingDataLoaderIter):
            self._iterator._shutdown_workers()

    @classmethod
    def of(cls, dataset: Sized, sampler: EpochSampler, collate: Callable[..., Batch]) -> Self:
        """A loader of what `sampler` says; `collate` makes a batch of what `dataset` gives."""
        split = sampler.split
        loader = cls(
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
            # DataLoader would draw its seed from the global generator, and so change MixUp after a resume.
            generator=torch.Generator().manual_seed(split.seed),
        )
        loader.images = len(dataset)
        atexit.register(loader.close)
        return loader


def _ignore_signals(worker: int) -> None:
    # A scheduler signals every process of a job, but workers must live until their rank has saved a checkpoint.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
