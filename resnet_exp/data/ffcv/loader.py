"""FFCV files: one file a split, mapped into memory, whose images compiled code decodes and crops in threads."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Generator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resnet_exp.core.errors import RunFailed
from resnet_exp.data.contract import Loader, Split
from resnet_exp.data.ffcv import layout
from resnet_exp.data.ffcv.files import FFCVFiles
from resnet_exp.data.ffcv.pages import held_pages
from resnet_exp.data.kernels.batch import Samples
from resnet_exp.data.kernels.resize import Pixels
from resnet_exp.data.thread_loader import Indices, Stored, ThreadLoader, shuffled

# `layout.ROW` and `layout.PLACE` for whole tables.
ROW = np.dtype(
    {
        "names": ["mode", "width", "height", "at", "label"],
        "formats": ["u1", "<u2", "<u2", "<u8", "<i8"],
        "offsets": [0, 1, 3, 5, 16],
        "itemsize": layout.ROW.size,
    }
)
PLACE = np.dtype([("sample", "<u8"), ("at", "<u8"), ("size", "<u8")])


class FFCVFile:
    """The images of an FFCV file."""

    def __init__(self, path: Path, os_cache: bool) -> None:
        """Read everything but the images.

        Args:
            path: the file.
            os_cache: map the file and leave caching to the operating system; or else read pages when they are needed.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not what it should be.
            IndexError: likewise.
        """
        header, fault = layout.read_header(path)
        if fault is not None:
            raise ValueError(fault)
        self._path, self._page_bytes = path, header.page_bytes
        # Once for all epochs: the processor finds what was touched before without asking the system again.
        self._mapped = np.asarray(np.memmap(path, np.uint8, "r")) if os_cache else None
        rows = np.fromfile(path, ROW, header.images, offset=layout.rows_at())
        places = np.fromfile(path, PLACE, header.images, offset=header.table_at)
        self._is_jpeg, self._labels = rows["mode"] == layout.JPEG, rows["label"]
        self._height, self._width, self._at = (rows[name].astype(np.int64) for name in ("height", "width", "at"))
        self._size = np.zeros(header.images, np.int64)
        # FFCV's own writer notes them in the order in which its processes came to them.
        self._size[places["sample"]] = places["size"]
        self._check(header)

    def _check(self, header: layout.Header) -> None:
        """Compiled code reads where it is told to."""
        end, pixels = self._at + self._size, 3 * self._height * self._width
        wrong = (self._at < layout.rows_at()) | (end > header.table_at) | (end <= self._at)
        wrong |= self._at // header.page_bytes != (end - 1) // header.page_bytes
        wrong |= (pixels == 0) | (~self._is_jpeg & (self._size != pixels))
        if wrong.any():
            raise ValueError(f"what it says of image {np.flatnonzero(wrong)[0]} cannot be")

    def __len__(self) -> int:
        """Images in all."""
        return len(self._size)

    def read(self, batches: Sequence[Indices], lag: int) -> Generator[Stored, None, None]:
        """Yield the images of the batches of an epoch; see `resnet_exp.data.thread_loader.Source`."""
        if self._mapped is not None:
            memory = itertools.repeat(self._mapped)
        else:
            page = max(self._page_bytes, mmap.PAGESIZE)
            memory = held_pages(self._path, page, [np.unique(self._at[batch] // page) for batch in batches], lag)
        for indices, data in zip(batches, memory, strict=False):
            samples = Samples(
                is_jpeg=self._is_jpeg[indices],
                height=self._height[indices],
                width=self._width[indices],
                offset=self._at[indices],
                size=self._size[indices],
                points_size=np.zeros(len(indices), np.int64),
                indices=indices.astype(np.uint64),
            )
            yield Stored(data, samples, self._labels[indices])

    def redecoded(self, index: int) -> Pixels:
        """Raises `RunFailed`: there is nothing but the JPEG."""
        raise RunFailed(f"FFCV file {self._path}: image {index} is damaged; remove the file to write it again")


def make_loader(split: Split, **settings: Any) -> Loader:
    """Loader of the FFCV file of a split.

    Pipelines of Composer 0.7.1 ``composer/datasets/imagenet.py``: random resized crop and flip to train, center crop at
    crop/resize of the short side to evaluate.

    Args:
        split: what to load.
        settings: of `resnet_exp.data.ffcv.files.FFCVFiles`.

    Raises:
        RunFailed: the file cannot be opened.
    """
    files = FFCVFiles(**settings)
    path = files.place_of(split.root, split.name)
    try:
        file = FFCVFile(path, files.os_cache)
    except (OSError, ValueError, IndexError) as error:
        raise RunFailed(f"FFCV file {path} cannot be opened ({error}); remove it to write it again") from error
    return ThreadLoader(split, file, partial(shuffled, split, len(file)))
