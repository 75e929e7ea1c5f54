"""Image files decoded by compiled code in threads: no worker processes, no ``/dev/shm``.

Crops look as those of torchvision's transforms on Pillow (`resnet_exp.data.kernels.rule`). Files other than JPEGs, and
JPEGs that libjpeg-turbo refuses or warns of, are decoded by Pillow.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from resnet_exp.core import files
from resnet_exp.data import encoded_images
from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.encoded_images import Room
from resnet_exp.data.imagefolder.files import IndexFiles
from resnet_exp.data.imagefolder.index import JPEGIndex
from resnet_exp.data.images import image_file, image_tree
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.kernels.rule import AS_PILLOW
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, decoders, in_order, shuffled, threads


class ImageFiles:
    """The images of a folder of class folders."""

    def __init__(self, folder: Path, readers: int, index: Path | None) -> None:
        """`readers` threads read a batch each, and decode what is not a JPEG; `index` is the folder of an index."""
        samples = image_tree.samples(folder)
        self._paths = [path for path, _ in samples]
        self._labels = np.array([label for _, label in samples], np.int64)
        self._readers = readers
        self._index = None if index is None else JPEGIndex(index, len(samples))
        self._spare: list[list[Room]] = []  # of epochs that are done

    def __len__(self) -> int:
        """Images in all."""
        return len(self._paths)

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; see `resnet_exp.data.thread_loader.Source`."""
        rooms = self._spare.pop() if self._spare else [Room() for _ in range(self._readers + lag)]
        try:
            with threads(self._readers) as reading:
                jobs = (
                    reading.submit(self._stored, *job) for job in zip(batches, itertools.cycle(rooms), strict=False)
                )
                yield from in_order(jobs, self._readers)
        finally:
            self._spare.append(rooms)

    def _stored(self, indices: Indices, room: Room) -> Stored:
        room.clear()
        for index in indices:
            self._read(int(index), room)
        return encoded_images.stored(room, indices, self._labels[indices], self.redecoded)

    def _read(self, index: int, room: Room) -> None:
        """Read a file, and its points in the index."""
        path = self._paths[index]
        try:
            with files.open_regular(path) as file:
                size = os.fstat(file.fileno()).st_size
                content = room.add(size)
                if file.readinto(content) != size:  # pyright: ignore[reportAttributeAccessIssue] - BinaryIO lacks it
                    raise image_file.unreadable(path, "it was cut off while it was read")
        except OSError as error:
            raise image_file.unreadable(path, error.strerror or str(error)) from error
        if self._index is not None and (points := self._index.points_of(index, content.data)).size:
            room.add_points(points)

    def redecoded(self, index: int) -> Pixels:
        """Pixels of an image by Pillow, HWC; see `resnet_exp.data.thread_loader.Source`."""
        return image_file.decode(self._paths[index])


def make_loader(split: Split, index: IndexFiles | None = None) -> Loader:
    """Loader of ``root/train`` or ``root/val``; crops to train and flips are those of `resnet_exp.data.ffcv.loader`."""
    place = None if index is None else index.place_of(split.root, split.name)
    images = ImageFiles(Path(split.root) / split.name, decoders(split) + 1, place)
    return ThreadLoader(split, images, partial(shuffled, split, len(images)), like=AS_PILLOW)
