"""What a data set is: its classes and images, as a fingerprint of their names and sizes.

Names and sizes are the same wherever a tree is copied to, and are read without opening a file. Times of change and the
content of some images tell, where names and sizes agree, whether images were changed in place.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from resnet_exp.core.files import read_bytes
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_tree import ABSENT, ImageFile, LeftOut

# Of a split between half as many and as many images are sampled; all of one that has no more.
MOST_SAMPLED = 128
# Differences that a line names.
SHOWN = 3
# Path below the split, bytes, time of change in nanoseconds, CRC-32 of the content (None: not known).
Sampled = tuple[str, int, int, int | None]


@dataclass(frozen=True)
class SplitState:
    """The images of one split; what is listed by class is in the order of the class numbers.

    Attributes:
        fingerprint: hash of the names of the classes, and of the names and sizes of all images.
        times: hash of all times of change.
        class_images: images of each class.
        class_digests: hash of names and sizes of the images of each class; empty if they are not known.
        sampled: some images.
    """

    fingerprint: str
    times: str
    class_images: list[int]
    class_digests: list[str]
    sampled: list[Sampled]


class _Sample:
    """Every so many-th image: at most `MOST_SAMPLED` of them, however many there will be."""

    def __init__(self) -> None:
        self.images: list[ImageFile] = []
        self._step, self._seen = 1, 0

    def add(self, image: ImageFile) -> None:
        if self._seen % self._step == 0:
            self.images.append(image)
            if len(self.images) > MOST_SAMPLED:
                self.images, self._step = self.images[::2], 2 * self._step
        self._seen += 1


def state_of(split_dir: Path, classes: list[str], images: Iterable[ImageFile]) -> SplitState:
    """The state of a split; `images` are in the order of `resnet_exp.data.images.image_tree.files`."""
    sample = _Sample()
    kept: list[list[str]] = [[] for _ in classes]
    times = hashlib.blake2b(digest_size=16)
    for image in images:
        kept[image.label].append(f"{image.size} {image.name}\n")
        times.update(b"%d " % image.changed)
        sample.add(image)
    digests = [hashlib.blake2b("".join(lines).encode(errors="surrogateescape"), digest_size=8) for lines in kept]
    whole = hashlib.blake2b(digest_size=16)
    for name, digest in zip(classes, digests, strict=True):
        whole.update(name.encode(errors="surrogateescape") + b"\0" + digest.digest())
    return SplitState(
        fingerprint=whole.hexdigest(),
        times=times.hexdigest(),
        class_images=[len(lines) for lines in kept],
        class_digests=[digest.hexdigest() for digest in digests],
        sampled=[(image.name, image.size, image.changed, checksum(split_dir / image.name)) for image in sample.images],
    )


def hash_of(content: bytes) -> str:
    """A hash such as those of `SplitState`."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def checksum(file: Path) -> int | None:
    """CRC-32 of a file; None if it cannot be read."""
    try:
        return zlib.crc32(read_bytes(file))
    except OSError:
        return None


@dataclass(frozen=True)
class Scan:
    """A split as it was read: names of the classes, images, and what was left out of it."""

    classes: list[str]
    state: SplitState
    left_out: LeftOut = field(default_factory=LeftOut)


def scan_split(split_dir: Path) -> Scan:
    """Read a split. A process reads it once, unless entries are added or removed in it or in its class folders.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """
    times = folder_times(split_dir)
    return _scan(split_dir, times, os.stat(split_dir).st_mtime_ns)


def folder_times(split_dir: Path) -> tuple[tuple[str, int], ...]:
    """Names and times of change of the class folders: of a folder to which files are added, it is another one."""
    return tuple((name, os.stat(split_dir / name).st_mtime_ns) for name in image_tree.class_names(split_dir))


@lru_cache(maxsize=8)
def _scan(split_dir: Path, times: tuple[tuple[str, int], ...], changed: int) -> Scan:
    left_out, classes = LeftOut(), [name for name, _ in times]
    return Scan(classes, state_of(split_dir, classes, image_tree.files(split_dir, left_out)), left_out)


def has_same_content(state: SplitState, split_dir: Path, before: SplitState) -> bool:
    """Whether the images of a split are those of a state before, in which they had the same names and sizes.

    If all times are the same too, no image is read; else the sampled ones decide.
    """
    return state.times == before.times or changed_image(split_dir, before.sampled) is None


def changed_image(split_dir: Path, sampled: Iterable[Sampled]) -> str | None:
    """A sampled image of a split that has changed since, and how; None if there is none.

    An image whose time alone differs is read; one whose checksum is not known has changed then.
    """
    for name, size, changed, known in sampled:
        path = split_dir / name
        try:
            status = os.stat(path)
        except OSError as error:
            # An image that could not be read when it was sampled may still be missing.
            if size != ABSENT[0]:
                return f"{printable(path)} is gone ({error.strerror})"
            continue
        if (status.st_size, status.st_mtime_ns) == (size, changed):
            continue
        if status.st_size != size or checksum(path) != known:
            return f"{printable(path)} has changed since"
    return None


def class_difference(before: list[str], now: list[str]) -> str:
    """How the names of the classes differ, in words."""
    gone, new = sorted(set(before) - set(now)), sorted(set(now) - set(before))
    parts = [f"{_few(names)} {what}" for names, what in ((gone, "gone"), (new, "new")) if names]
    return f"the classes differ ({', '.join(parts) or 'in their order'})"


def difference(classes: list[str], before: SplitState, now: SplitState) -> str | None:
    """How names and sizes of images of the same classes differ, in words; None if they do not."""
    if before.fingerprint == now.fingerprint:
        return None
    pairs = zip(classes, before.class_images, now.class_images, strict=False)
    if counts := [f"{name} has {plural(count, 'image')}, not {then:,}" for name, then, count in pairs if then != count]:
        return _few(counts)
    digests = zip(classes, before.class_digests, now.class_digests, strict=False)
    changed = [name for name, then, digest in digests if then != digest]
    return f"images of {_few(changed) if changed else 'its classes'} have other names or sizes"


def _few(items: list[str]) -> str:
    shown = ", ".join(map(printable, items[:SHOWN]))
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN:,} more"
