"""FFCV files: one memory-mapped file a split, decoded and cropped by compiled code in threads of this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ffcv.loader import Loader as FFCVReader
from ffcv.memory_managers import OSCacheManager
from ffcv.pipeline import compiler
from ffcv.traversal_order.base import TraversalOrder

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.contract import IGNORED, Batch, Loader, Split
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.ffcv.pipeline import Images, Labels, Reader, ToDevice
from resnet_exp.data.kernels.randaugment import augment_with

Order = npt.NDArray[np.uint64]


def _leave_threads_alone(cls: type[compiler.Compiler], n: int) -> None:
    # Ours are our own; FFCV would set those of torch too, which makes training on a CPU slow.
    cls.num_threads = 1  # pyright: ignore


compiler.Compiler.set_num_threads = classmethod(_leave_threads_alone)  # pyright: ignore


@contextlib.contextmanager
def _nothing_to_compile() -> Iterator[None]:
    """Keep FFCV from compiling: it does so anew in each run, for seconds, and our steps need none of it.

    Its function that reads memory does harm besides: it changes a type that all functions of numba share.
    """
    reader = OSCacheManager.compile_reader
    OSCacheManager.compile_reader = lambda manager: None  # pyright: ignore
    compiler.Compiler.set_enabled(False)
    try:
        yield
    finally:
        compiler.Compiler.set_enabled(True)
        OSCacheManager.compile_reader = reader


class RankOrder(TraversalOrder):
    """The samples of one rank in an epoch: all of them in order, or a permutation that depends on (seed, epoch).

    FFCV's own random order ignores the run's seed when distributed and pads each rank with samples of others.
    """

    def __init__(self, split: Split) -> None:
        """Takes the loader later: FFCV calls an order that it is given."""
        self.split = split
        self.skip = 0

    def __call__(self, loader: FFCVReader) -> RankOrder:
        """Bind to the loader."""
        self.indices: Order = loader.indices
        return self

    def sample_order(self, epoch: int) -> Order:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Indices of this rank for `epoch`; every rank has as many when training."""
        split, indices = self.split, self.indices
        if not split.train:
            return np.concatenate([indices[split.rank :: split.world_size], indices[: self.padding]])
        shuffled = np.random.default_rng((split.seed, epoch)).permutation(indices)
        own = shuffled[: len(shuffled) // split.world_size * split.world_size][split.rank :: split.world_size]
        # FFCV drops the last incomplete batch by a count that does not know what is skipped.
        own = own[: len(own) // split.batch_size * split.batch_size]
        return own[self.skip :]

    @property
    def padding(self) -> int:
        """Images that fill up this rank's share of an evaluation: every rank must run as many batches."""
        short = 0 < len(self.indices) % self.split.world_size <= self.split.rank
        return int(short and not self.split.train)


class FFCVLoader:
    """FFCV's loader behind the loader contract."""

    def __init__(self, reader: Reader, order: RankOrder, images: Images) -> None:
        """Wrap a reader whose order is `order` and whose images `images` makes."""
        self._reader = reader
        self._order = order
        self._images = images
        self.batch_size: int = reader.batch_size
        self.images = int(reader.reader.num_samples)

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._reader)

    def __iter__(self) -> Iterator[Batch]:
        """Yield uint8 NCHW images and int64 labels; both are buffers that FFCV uses again a few batches later."""
        batches = self._reader.start(self._order.skip // self.batch_size)
        self._order.skip = 0
        last = len(self) - 1
        try:
            for number, (images, flat) in enumerate(batches):
                labels = flat.reshape(-1)
                if number == last and self._order.padding:
                    labels = labels.clone()
                    labels[-self._order.padding :] = IGNORED
                yield images, labels
        finally:
            batches.close()

    def seek(self, epoch: int, batch: int) -> None:
        """Let the next iteration be that of `epoch` without its first `batch` batches."""
        self._reader.next_epoch = epoch
        self._order.skip = batch * self.batch_size

    def randaugment(self, augmentation_set: str, severity: float, depth: int) -> None:
        """Apply RandAugment after crop and flip from the next epoch's start."""
        self._images.augment = augment_with(augmentation_set, severity, depth)


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of the FFCV file of a split.

    Pipelines of Composer 0.7.1 ``composer/datasets/imagenet.py``: random resized crop and flip to train, centre crop at
    crop/resize of the short side to evaluate.

    Args:
        split: what to load.
        settings: of `resnet_exp.data.ffcv.files.FFCVFiles`.

    Raises:
        RunFailed: the file cannot be opened.
    """
    files = FFCVFiles(**settings)
    path = files.place_of(split.root, split.name)
    order, images = RankOrder(split), Images(split, str(path))
    try:
        with _nothing_to_compile():
            reader = Reader(
                str(path),
                batch_size=split.batch_size,
                num_workers=1,
                order=order,  # pyright: ignore[reportArgumentType]
                os_cache=files.os_cache,
                drop_last=split.train,
                batches_ahead=split.prefetch_factor,
                seed=split.seed,
                pipelines={
                    "image": [images, ToDevice(split.on_gpu)],
                    "label": [Labels(), ToDevice(split.on_gpu)],
                },
            )
    except (OSError, ValueError, AssertionError, IndexError) as error:
        raise RunFailed(f"FFCV file {path} cannot be opened ({error}); remove it to write it again") from error
    return FFCVLoader(reader, order, images)
