"""MDS shards: JPEGs in files that are fetched from an object store when they are needed.

Compiled code makes the same images of them, crops and flips included, as of FFCV files with the same JPEGs.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.data import block_shuffle
from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.kernels.batch import Samples
from resnet_exp.data.kernels.jpeg import MOST_PIXELS, measure
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.streaming.files import MDSShards
from resnet_exp.data.streaming.mds import NUMBERS, Column
from resnet_exp.data.streaming.shard_cache import ShardStore
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, in_order, threads

Array = npt.NDArray[Any]
# Batches whose shards are fetched at the same time.
FETCHED_AHEAD = 8
AGAIN = "remove it, then convert or fetch it again"
DAMAGED = f"is damaged; {AGAIN}"


class ShardImages:
    """The images of a split."""

    def __init__(self, store: ShardStore, classes: int) -> None:
        """`store` has the shards; `classes` is how many there are."""
        self._store, self._classes = store, classes
        self.starts = np.array(store.index.starts)
        self._offsets: dict[int, Array] = {}

    def __len__(self) -> int:
        """Images in all."""
        return int(self.starts[-1])

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; see `resnet_exp.data.thread_loader.Source`."""
        with threads(FETCHED_AHEAD) as fetching:
            fetches = (
                fetching.submit(self._store.ensure, np.unique(self._shards(batch)).tolist()) for batch in batches
            )
            for indices, _ in zip(batches, in_order(fetches, FETCHED_AHEAD), strict=True):
                yield self._stored(indices)

    def _shards(self, indices: Indices) -> Indices:
        return np.searchsorted(self.starts, indices, "right") - 1

    def _stored(self, indices: Indices) -> Stored:
        data, at, ends, labels = self._read(indices)
        if (outside := (labels < 0) | (labels >= self._classes)).any():
            fix = f"dataset.num_classes={self._classes} has 0 to {self._classes - 1}, set it to what they are"
            raise self._unusable(indices[outside], f"is of class {labels[outside][0]}; {fix}")
        heights, widths = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
        measure(data, at, ends - at, heights, widths)
        if (unreadable := (heights * widths == 0) | (heights * widths > MOST_PIXELS)).any():
            raise self._unusable(indices[unreadable], f"is not a JPEG that can be read; {AGAIN}")
        samples = Samples(
            is_jpeg=np.ones(len(indices), np.bool_),
            height=heights,
            width=widths,
            offset=at,
            size=ends - at,
            points_size=np.zeros(len(indices), np.int64),
            indices=indices.astype(np.uint64),
        )
        return Stored(data, samples, labels)

    def redecoded(self, index: int) -> Pixels:
        """Raises `RunFailed`: there is nothing but the JPEG."""
        raise self._unusable(np.array([index]), DAMAGED)

    def _unusable(self, indices: Array, how: str) -> RunFailed:
        number = int(self._shards(indices)[0])
        image = indices[0] - self.starts[number]
        return RunFailed(f"MDS shard {self._store.path(number)}: image {image} {how}")

    def _read(self, indices: Array) -> tuple[Array, Array, Array, Array]:
        """The samples' bytes in one array, begin and end of each image in it, and the class numbers."""
        shards = self._shards(indices)
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
            raise self._unusable(indices[short], DAMAGED)
        sizes = _numbers(data, to[:, None] + 4 * np.arange(index.sized), "<u4").astype(np.int64)

        def place(column: Column) -> Array:
            return to + 4 * index.sized + column.fixed_before + sizes[:, : column.sized_before].sum(1)

        at, label_at, kind = place(index.image), place(index.label), NUMBERS[index.label.encoding]
        last = at + (sizes[:, index.image.sized_before] if index.image.size is None else index.image.size)
        if (beyond := (last > ends) | (label_at + np.dtype(kind).itemsize > ends)).any():
            raise self._unusable(indices[beyond], DAMAGED)
        return at, last, _numbers(data, label_at, kind).astype(np.int64)


def _numbers(data: Array, places: Array, kind: str) -> Array:
    """Numbers of a kind at byte places, which need not be multiples of their size."""
    width = np.dtype(kind).itemsize
    return np.ascontiguousarray(data[places[..., None] + np.arange(width)]).view(kind)[..., 0]


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of the MDS shards of a split.

    Crops, flips and sizes are those of `resnet_exp.data.ffcv.loader`; evaluation has all images in their order.

    Args:
        split: what to load.
        settings: of `resnet_exp.data.streaming.files.MDSShards`.

    Raises:
        RequestError: the batch of all ranks is not a multiple of ``canonical_nodes``.
    """
    shards = MDSShards(**settings)
    whole = split.batch_size * split.world_size
    if split.train and whole % shards.canonical_nodes:
        raise RequestError(
            f"data.loader.canonical_nodes={shards.canonical_nodes} does not divide a batch of {whole}; "
            "use a number that does"
        )
    images = ShardImages(shards.store_of(split.root, split.name), split.classes)
    order = partial(block_shuffle.shuffled, split, images.starts, shards.shuffle_block, shards.canonical_nodes)
    return ThreadLoader(split, images, order)
