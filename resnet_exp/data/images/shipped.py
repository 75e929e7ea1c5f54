"""The data sets in the box: image folders that are written once, below ``data.cache_dir``, and need no download."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.files import writing
from resnet_exp.core.locks import held_lock, open_lock
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.images import digits, photographs


@dataclass(frozen=True)
class ShippedSet:
    """A data set in the box.

    Attributes:
        name: what ``dataset`` is called.
        title: what it is, in the words of a sentence.
        folder: name of its folder below ``data.cache_dir``.
        train_images: number of images to train on.
        write: writes ``train`` and ``val`` below a folder.
        check: raises `RequestError` if what the images come from is not installed.
    """

    name: str
    title: str
    folder: str
    train_images: int
    write: Callable[[Path], None]
    check: Callable[[], object] = bool

    def folder_below(self, cache_dir: str) -> Path:
        """Path of the image folder, whether it exists or not."""
        return Path(cache_dir) / self.folder

    def prepare(self, cache_dir: str, say: Callable[[str], None]) -> None:
        """Write the image folder below `cache_dir` unless it is there: whole, or not at all.

        Args:
            cache_dir: absolute path.
            say: is told that it is written.

        Raises:
            RequestError: the folder cannot be written, or what the images come from is not installed.
        """
        folder = self.folder_below(cache_dir)
        if folder.is_dir():
            return
        with writing(f"data.cache_dir={cache_dir}"), held_lock(open_lock(folder.parent / f".{self.folder}.lock")):
            if not folder.is_dir():
                say(f"writing {self.title} into {printable(folder)} (once, then reused)")
                self._write(folder)

    def _write(self, folder: Path) -> None:
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            self.write(temporary)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


DIGITS = ShippedSet("digits", "the digits of scikit-learn", digits.FOLDER, digits.TRAIN_IMAGES, digits.write)
PHOTOS = ShippedSet(
    "photos",
    "the tiles of photographs",
    photographs.FOLDER,
    photographs.TRAIN_TILES * len(photographs.PHOTOGRAPHS),
    photographs.write,
    photographs.check,
)
ALL = {one.name: one for one in (DIGITS, PHOTOS)}
