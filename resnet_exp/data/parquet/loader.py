"""Parquet files: row groups are read as wholes, and the same compiled code makes images of them as of image files."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from typing import Any

import numpy as np

from resnet_exp.core.errors import RequestError
from resnet_exp.data import block_shuffle, encoded_images, thread_loader
from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.images import image_file
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.kernels.rule import AS_PILLOW
from resnet_exp.data.parquet.files import ParquetFiles
from resnet_exp.data.parquet.index import SplitIndex
from resnet_exp.data.parquet.reading import Images
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, decoders, in_order, threads

# Row groups that are fetched at a time from a store: one connection does not use the whole bandwidth.
FETCHED_AT_ONCE = 8
# Batches that are read ahead at most: what they need is in memory, too.
MOST_AHEAD = 8
# Row groups that are kept for images that Pillow has to decode.
KEPT = 2


class RowGroupImages:
    """The images of a split."""

    def __init__(self, index: SplitIndex, readers: int) -> None:
        """`readers` threads read row groups and put batches together, and decode what is not a JPEG."""
        self._index, self._readers = index, readers
        self._loaders = readers if index.storage.remote is None else max(readers, FETCHED_AT_ONCE)
        self._again = lru_cache(KEPT)(index.load)

    def __len__(self) -> int:
        """Images in all."""
        return len(self._index.labels)

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; see `resnet_exp.data.thread_loader.Source`.

        A row group is in memory from the first batch that needs it to the last one.
        """
        needed = [np.unique(self._groups(batch)).tolist() for batch in batches]
        last = {group: number for number, groups in enumerate(needed) for group in groups}
        loaded: dict[int, Future[Images]] = {}
        with threads(self._loaders) as loading, threads(self._readers) as storing:

            def begin(number: int) -> Future[Stored]:
                for group in needed[number]:
                    if group not in loaded:
                        loaded[group] = loading.submit(self._index.load, group)
                mine = {group: loaded[group] for group in needed[number]}
                for group in needed[number]:
                    if last[group] == number:
                        del loaded[group]
                return storing.submit(self._stored, batches[number], mine)

            yield from in_order(map(begin, range(len(batches))), min(self._loaders, MOST_AHEAD))

    def _groups(self, indices: Indices) -> Indices:
        return np.searchsorted(self._index.starts, indices, "right") - 1

    def _stored(self, indices: Indices, loaded: dict[int, Future[Images]]) -> Stored:
        groups = self._groups(indices)
        rows = indices - self._index.starts[groups]
        contents = {
            int(index): loaded[int(group)].result().content(int(row))
            for index, group, row in zip(indices, groups, rows, strict=True)
        }

        def decoded(index: int) -> Pixels:
            return image_file.decode_content(contents[index].tobytes(), self._index.place(index))

        room = encoded_images.room_of(contents[int(index)] for index in indices)
        return encoded_images.stored(room, indices, self._index.labels[indices], decoded)

    def redecoded(self, index: int) -> Pixels:
        """Pixels of an image by Pillow, HWC; see `resnet_exp.data.thread_loader.Source`."""
        group = int(self._groups(np.array([index]))[0])
        content = self._again(group).content(index - int(self._index.starts[group]))
        return image_file.decode_content(content.tobytes(), self._index.place(index))


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of the Parquet files of a split; images are those of `resnet_exp.data.imagefolder.compiled`.

    A split of no more than ``shuffle_block`` images is shuffled as by all other formats. Of a larger one, each part
    (``canonical_ranks`` of them, or as many as divide the batch) has its own row groups, so that ranks do not read
    those of others.

    Args:
        split: what to load.
        settings: of `resnet_exp.data.parquet.files.ParquetFiles`.

    Raises:
        RequestError: the files have classes that the run does not have.
        RunFailed: they cannot be read.
    """
    files = ParquetFiles(**settings)
    index = files.needed(split.root, split.name)
    if len(index.classes) > split.classes:
        raise RequestError(
            f"dataset.dir={split.root} has {len(index.classes)} classes, the run has {split.classes}; set "
            "dataset.num_classes"
        )
    images = RowGroupImages(index, decoders(split) + 1)
    if len(images) <= files.shuffle_block:
        order = partial(thread_loader.shuffled, split, len(images))
    else:
        parts = math.gcd(files.canonical_ranks, split.batch_size * split.world_size)
        order = partial(block_shuffle.shuffled, split, index.starts, max(1, files.shuffle_block // parts), parts)
    return ThreadLoader(split, images, order, like=AS_PILLOW)
