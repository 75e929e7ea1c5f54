"""Image files decoded by compiled code in threads: no worker processes, no ``/dev/shm``.

JPEGs are decoded at the fraction of their size that still covers the crop. What is no JPEG, and JPEGs that
libjpeg-turbo refuses or warns of, are decoded by Pillow.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from resnet_exp.core import files
from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.images import image_file, image_tree
from resnet_exp.data.kernels.batch import FAST_FRACTIONS, Samples
from resnet_exp.data.kernels.jpeg import MOST_PIXELS, measure
from resnet_exp.data.kernels.resize import Numbers, Pixels
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, decoders, in_order, shuffled, threads


class ImageFiles:
    """The images of a folder of class folders."""

    def __init__(self, folder: Path, readers: int) -> None:
        """`readers` threads read a batch each, and decode what is no JPEG."""
        samples = image_tree.samples(folder)
        self._paths = [path for path, _ in samples]
        self._labels = np.array([label for _, label in samples], np.int64)
        self._readers = readers

    def __len__(self) -> int:
        """Images in all."""
        return len(self._paths)

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; see `resnet_exp.data.thread_loader.Source`."""
        with threads(self._readers) as reading:
            yield from in_order((reading.submit(self._stored, batch) for batch in batches), self._readers)

    def _stored(self, indices: Indices) -> Stored:
        contents = [self._content(index) for index in indices]
        sizes = np.array([content.size for content in contents], np.int64)
        data, offsets = np.concatenate(contents), np.cumsum(sizes) - sizes
        heights, widths = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
        measure(data, offsets, sizes, heights, widths)
        pixels = heights * widths
        is_jpeg = (pixels > 0) & (pixels <= MOST_PIXELS)
        if not is_jpeg.all():
            data = self._decode_others(indices, np.flatnonzero(~is_jpeg), data, (offsets, sizes, heights, widths))
        samples = Samples(is_jpeg, heights, widths, offsets, sizes, indices.astype(np.uint64))
        return Stored(data, samples, self._labels[indices])

    def _content(self, index: int) -> Pixels:
        path = self._paths[index]
        try:
            return np.frombuffer(files.read_bytes(path), np.uint8)
        except OSError as error:
            raise image_file.unreadable(path, error.strerror or str(error)) from error

    def _decode_others(
        self, indices: Indices, rows: Indices, data: Pixels, table: tuple[Numbers, Numbers, Numbers, Numbers]
    ) -> Pixels:
        """Append the pixels of what is no JPEG to `data`, and set its rows of offsets, sizes, heights and widths."""
        offsets, sizes, heights, widths = table
        decoded = [self.redecoded(int(index)) for index in indices[rows]]
        sizes[rows] = [image.size for image in decoded]
        offsets[rows] = len(data) + np.cumsum(sizes[rows]) - sizes[rows]
        heights[rows], widths[rows] = np.array([image.shape[:2] for image in decoded]).T
        return np.concatenate([data, *(image.reshape(-1) for image in decoded)])

    def redecoded(self, index: int) -> Pixels:
        """Pixels of an image by Pillow, HWC; see `resnet_exp.data.thread_loader.Source`."""
        return image_file.decode(self._paths[index])


def make_loader(split: Split) -> Loader:
    """Loader of ``root/train`` or ``root/val``; crops and flips are those of `resnet_exp.data.ffcv.loader`."""
    images = ImageFiles(Path(split.root) / split.name, decoders(split) + 1)
    return ThreadLoader(split, images, partial(shuffled, split, len(images)), fractions=FAST_FRACTIONS)
