"""MDS shards: JPEGs out of files that come from an object store as they are needed, decoded by our compiled code.

Images are those of FFCV files that hold the same JPEGs, crops and flips included.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data.contract import Batch, Loader, Split
from resnet_exp.data.kernels.batch import JPEG, Samples, Scratch, load, make_scratch, rule_of, to_read
from resnet_exp.data.kernels.jpeg import measure
from resnet_exp.data.kernels.randaugment import NOTHING, augment_with
from resnet_exp.data.streaming import shuffle
from resnet_exp.data.streaming.files import MDSShards
from resnet_exp.data.streaming.mds import NUMBERS, Column
from resnet_exp.data.streaming.shard_cache import ShardStore
from resnet_exp.data.worker_loader import EpochSampler, Key, WorkerLoader

Array = npt.NDArray[Any]
# As Pillow: what claims more is made to fill memories.
MOST_PIXELS = 178_956_970
AGAIN = "remove it, then convert or fetch it again"
DAMAGED = f"is damaged; {AGAIN}"


class ShardImages:
    """The images of a split, a batch at a time."""

    def __init__(self, split: Split, store: ShardStore) -> None:
        """`store` has the shards."""
        self.augment = NOTHING
        self._split, self._store = split, store
        self.starts = np.array(store.index.starts)
        self._offsets: dict[int, Array] = {}
        self._scratch: Scratch | None = None
        self._room = 0, 0

    def __len__(self) -> int:
        """Images in all."""
        return int(self.starts[-1])

    def __getitems__(self, keys: list[Key]) -> Batch:
        """Images of one epoch and side: uint8 NCHW, int64 labels.

        Raises:
            RunFailed: a shard cannot be had, or an image in it is damaged.
        """
        epoch, _, side = keys[0]
        indices = np.array([index for _, index, _ in keys])
        data, at, ends, labels = self._read(indices)
        if (foreign := (labels < 0) | (labels >= self._split.classes)).any():
            raise self._of_no_use(indices[foreign], f"is of class {labels[foreign][0]}; {self._classes}")
        heights, widths = np.empty(len(keys), np.int64), np.empty(len(keys), np.int64)
        measure(data, at, ends - at, heights, widths)
        if (unusable := (heights * widths == 0) | (heights * widths > MOST_PIXELS)).any():
            raise self._of_no_use(indices[unusable], f"is no JPEG that can be read; {AGAIN}")
        samples = Samples(
            mode=np.full(len(keys), JPEG, np.uint8),
            height=heights,
            width=widths,
            page=np.zeros(len(keys), np.int64),
            offset=at,
            size=ends - at,
            indices=indices.astype(np.uint64),
        )
        images, status = np.empty((len(keys), side, side, 3), np.uint8), np.zeros(len(keys), np.int64)
        rule = rule_of(self._split, epoch, self.augment)
        counter = np.zeros(1, np.int64)
        load(to_read(data.reshape(1, -1)), samples, rule, self._memory(heights, widths), counter, images, status)
        if status.any():
            raise self._of_no_use(indices[status != 0], DAMAGED)
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)

    @property
    def _classes(self) -> str:
        return f"dataset.num_classes={self._split.classes} has 0 to {self._split.classes - 1}, set it to what they are"

    def _of_no_use(self, indices: Array, how: str) -> RunFailed:
        number = int(np.searchsorted(self.starts, indices[0], "right")) - 1
        image = indices[0] - self.starts[number]
        return RunFailed(f"MDS shard {self._store.path(number)}: image {image} {how}")

    def _memory(self, heights: Array, widths: Array) -> Scratch:
        """Memory that is large enough for these images; it grows."""
        needed = max(self._room[0], int(heights.max())), max(self._room[1], int(widths.max()))
        if self._scratch is None or needed != self._room:
            self._room, self._scratch = needed, make_scratch(*needed, self._split.crop)
        return self._scratch

    def _read(self, indices: Array) -> tuple[Array, Array, Array, Array]:
        """The samples' bytes in one array, begin and end of each image in it, and the class numbers."""
        shards = np.searchsorted(self.starts, indices, "right") - 1
        self._store.ensure(np.unique(shards).tolist())
        begin, size = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
        for shard in np.unique(shards):
            mine = shards == shard
            offsets, rows = self._offsets_of(int(shard)), indices[mine] - self.starts[shard]
            begin[mine], size[mine] = offsets[rows], offsets[rows + 1].astype(np.int64) - offsets[rows]
        ends = np.cumsum(size)
        data = np.empty(int(ends[-1]), np.uint8)
        for shard in np.unique(shards):
            self._copy(int(shard), np.flatnonzero(shards == shard), begin, size, ends - size, data)
        return data, *self._columns(data, ends - size, ends, indices)

    def _copy(self, shard: int, rows: Array, begin: Array, size: Array, to: Array, data: Array) -> None:
        path = self._store.path(shard)
        view = memoryview(data)  # pyright: ignore[reportArgumentType]
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise RunFailed(f"MDS shard {path} cannot be read ({error.strerror}); {AGAIN}") from error
        try:
            for row in rows:
                part = view[to[row] : to[row] + size[row]]
                if os.preadv(file, [part], int(begin[row])) != len(part):
                    raise RunFailed(f"MDS shard {path} is cut off; {AGAIN}")
        finally:
            os.close(file)

    def _offsets_of(self, shard: int) -> Array:
        if shard not in self._offsets:
            count = self._store.index.shards[shard].samples + 1
            found = np.fromfile(self._store.path(shard), "<u4", count, offset=4)
            if len(found) != count or (np.diff(found.astype(np.int64)) <= 0).any():
                raise RunFailed(f"MDS shard {self._store.path(shard)} is damaged; {AGAIN}")
            self._offsets[shard] = found
        return self._offsets[shard]

    def _columns(self, data: Array, to: Array, ends: Array, indices: Array) -> tuple[Array, Array, Array]:
        """Where images begin and end, and the class numbers, of samples that begin at `to`."""
        index = self._store.index
        if (short := to + 4 * index.sized > ends).any():
            raise self._of_no_use(indices[short], DAMAGED)
        sizes = _numbers(data, to[:, None] + 4 * np.arange(index.sized), "<u4").astype(np.int64)

        def place(column: Column) -> Array:
            return to + 4 * index.sized + column.fixed_before + sizes[:, : column.sized_before].sum(1)

        at, label_at, kind = place(index.image), place(index.label), NUMBERS[index.label.encoding]
        last = at + (sizes[:, index.image.sized_before] if index.image.size is None else index.image.size)
        if (beyond := (last > ends) | (label_at + np.dtype(kind).itemsize > ends)).any():
            raise self._of_no_use(indices[beyond], DAMAGED)
        return at, last, _numbers(data, label_at, kind).astype(np.int64)


def _numbers(data: Array, places: Array, kind: str) -> Array:
    """Numbers of a kind at byte places, which need not be multiples of their size."""
    width = np.dtype(kind).itemsize
    return np.ascontiguousarray(data[places[..., None] + np.arange(width)]).view(kind)[..., 0]


class ShardSampler(EpochSampler):
    """The samples of a rank: to train, those of a few shards at a time."""

    def __init__(self, images: ShardImages, split: Split, block: int, nodes: int) -> None:
        """`block` and `nodes`: see `resnet_exp.data.streaming.shuffle`."""
        super().__init__(images, split)
        self._starts, self._block, self._nodes = images.starts, block, nodes

    def order(self) -> Iterable[int]:
        """The samples of this rank in the epoch."""
        if not self.split.train:
            return super().order()
        parts = shuffle.of_epoch(self._starts, self._nodes, self._block, self.split.seed, self.epoch)
        return shuffle.share(parts, self.split.rank, self.split.world_size, self.split.batch_size).tolist()


class ShardLoader(WorkerLoader):
    """A loader of shards, which can do RandAugment."""

    def randaugment(self, augmentation_set: str, severity: float, depth: int) -> None:
        """Apply RandAugment after crop and flip from the next epoch's start."""
        assert isinstance(self.dataset, ShardImages)
        self.dataset.augment = augment_with(augmentation_set, severity, depth)
        # Workers that have begun know of the dataset as it was.
        self.close()
        self._iterator = None


def _collated(batch: Batch) -> Batch:
    return batch


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of the MDS shards of a split.

    Crops, flips and sizes are those of `resnet_exp.data.ffcv.loader`; evaluation has all images in their order.

    Args:
        split: what to load.
        settings: of `resnet_exp.data.streaming.files.MDSShards`.

    Raises:
        RequestError: the batch of all ranks is no multiple of ``canonical_nodes``.
    """
    shards = MDSShards(**settings)
    whole = split.batch_size * split.world_size
    if split.train and whole % shards.canonical_nodes:
        raise RequestError(
            f"data.loader.canonical_nodes={shards.canonical_nodes} does not divide a batch of {whole}; "
            "use a number that does"
        )
    images = ShardImages(split, shards.store_of(split.root, split.name))
    sampler = ShardSampler(images, split, shards.shuffle_block, shards.canonical_nodes)
    return ShardLoader.of(images, sampler, _collated)  # pyright: ignore[reportReturnType]
