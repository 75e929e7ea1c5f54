"""The image files of a split as a conversion sees them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.data import image_tree

# Size and time of an image file that does not exist, such as behind a broken link.
ABSENT = (-1, 0)


@dataclass(frozen=True)
class Source:
    """An image file of a split: path below the split's folder, class number, bytes, time of change in nanoseconds."""

    name: str
    label: int
    size: int
    changed: int

    @property
    def key(self) -> str:
        """A hash of name, size and time."""
        text = f"{self.size} {self.changed} {self.name}"
        return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def of_split(split_dir: Path) -> list[Source]:
    """All images of a split, in the order of torchvision's ``ImageFolder``.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """
    return [_source(path, str(split_dir), label) for path, label in image_tree.samples(split_dir)]


def _source(path: str, split_dir: str, label: int) -> Source:
    try:
        status = os.stat(path)
        size, changed = status.st_size, status.st_mtime_ns
    except OSError:
        size, changed = ABSENT
    return Source(path[len(split_dir) + 1 :], label, size, changed)
