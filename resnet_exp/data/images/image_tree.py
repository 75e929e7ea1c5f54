"""Image folders, ``dir/train/<class>/*`` and ``dir/val/<class>/*``: what is in them, and quick checks."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn

from resnet_exp.core.errors import RequestError
from resnet_exp.core.object_store import is_url
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.data.images import image_layouts
from resnet_exp.data.images.image_layouts import IMAGE_SUFFIXES

# What systems and file managers leave in folders, in lower case. Names that begin with a dot are left out too.
LITTER = frozenset(
    (
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "system volume information"),
        *("__macosx", "icon\r", "@eadir", "#recycle", "lost+found"),
    )
)
SPLITS = ("train", "val")
LAYOUT = image_layouts.LAYOUT
# Size in bytes and time of an image file that does not exist, such as behind a broken link.
ABSENT = (-1, 0)
# Threads that read a split.
READERS = 8
# Most kinds of files that a note names.
KINDS_SHOWN = 6


class ImageFile(NamedTuple):
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


@dataclass
class LeftOut:
    """What a tree holds that is neither a class nor an image.

    Attributes:
        litter: number of hidden entries and of those that systems and file managers leave.
        example: path of one of these.
        unread: files that are not read, by suffix.
    """

    litter: int = 0
    example: str = ""
    unread: Counter[str] = field(default_factory=Counter[str])

    def add_litter(self, path: str) -> None:
        """Count an entry."""
        self.litter += 1
        self.example = self.example or path

    def add_unread(self, name: str, where: str = "") -> None:
        """Count a file; `where` says more of its place."""
        self.unread[(os.path.splitext(name)[1].lower() or "without a suffix") + where] += 1

    def add(self, other: LeftOut) -> None:
        """Add what was left out elsewhere."""
        self.litter += other.litter
        self.example = self.example or other.example
        self.unread.update(other.unread)

    def notes(self) -> list[str]:
        """One line about the litter, and one about the other files."""
        lines = []
        if self.litter:
            what = "1 hidden or system entry" if self.litter == 1 else f"{self.litter:,} hidden or system entries"
            lines.append(f"note: dataset.dir: left out {what}, such as {printable(self.example)}")
        if self.unread:
            ordered = sorted((-count, kind) for kind, count in self.unread.items())
            kinds = [f"{-count:,} {printable(kind)}" for count, kind in ordered[:KINDS_SHOWN]]
            rest = -sum(count for count, _ in ordered[KINDS_SHOWN:])
            kinds += [f"{rest:,} others"] * (rest > 0)
            what = plural(sum(self.unread.values()), "file")
            lines.append(
                f"note: dataset.dir: {what} not read: {', '.join(kinds)}; images are {' '.join(IMAGE_SUFFIXES)}"
            )
        return lines


def is_litter(name: str) -> bool:
    """Whether an entry is hidden, or what systems and file managers leave: neither a class nor an image."""
    return name.startswith(".") or name.lower() in LITTER


def folder(root: str | None) -> Path:
    """The dataset's folder; raises `RequestError` if there is none."""
    if not root:
        raise RequestError(f"dataset.dir is not set; use dataset.dir=PATH ({LAYOUT})")
    if is_url(root):
        raise RequestError(f"dataset.dir={root} is a URL, which data=parquet reads; other formats read a folder")
    if not Path(root).is_dir():
        raise RequestError(f"dataset.dir={root} is not a folder; {image_layouts.way_on(Path(root))}")
    return Path(root)


def class_names(split_dir: Path, left_out: LeftOut | None = None) -> list[str]:
    """Sorted names of the class folders of one split; what else is there is added to `left_out`."""
    left_out = LeftOut() if left_out is None else left_out
    found = []
    try:
        with os.scandir(split_dir) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    left_out.add_litter(entry.path)
                elif entry.is_dir():
                    found.append(entry.name)
                else:
                    left_out.add_unread(entry.name, " beside the class folders")
    except FileNotFoundError:
        fix = image_layouts.way_on(split_dir.parent)
        raise RequestError(f"dataset.dir: {split_dir} does not exist; {fix}") from None
    except OSError as error:
        raise RequestError(f"dataset.dir: {split_dir} cannot be read ({error.strerror}); {LAYOUT}") from None
    return sorted(found)


def images(class_dir: Path) -> Iterator[str]:
    """Paths of the image files below a class folder, in no order; reads no more of it than is asked for."""
    return (entry.path for _, entry in _walk(class_dir, LeftOut()))


def files(split_dir: Path, left_out: LeftOut | None = None) -> Iterator[ImageFile]:
    """The images of one split with sizes and times, in the order of torchvision's ``ImageFolder``.

    What is neither a class nor an image is added to `left_out`.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """
    left_out, start = LeftOut() if left_out is None else left_out, len(str(split_dir)) + 1

    def read(numbered: tuple[int, str]) -> tuple[list[ImageFile], LeftOut]:
        (label, name), beside = numbered, LeftOut()
        found = [
            ImageFile(entry.path[start:], label, *_size_and_time(entry)) for entry in _sorted(split_dir / name, beside)
        ]
        return found, beside

    # Over a network each size is a message: several classes are read at a time.
    threads = ThreadPoolExecutor(READERS)
    try:
        for found, beside in threads.map(read, enumerate(class_names(split_dir, left_out))):
            left_out.add(beside)
            yield from found
    finally:
        threads.shutdown(cancel_futures=True)


def samples(split_dir: Path) -> list[tuple[str, int]]:
    """Paths and class numbers of the images of one split; see `files`."""
    return [
        (entry.path, label)
        for label, name in enumerate(class_names(split_dir))
        for entry in _sorted(split_dir / name, LeftOut())
    ]


def _sorted(class_dir: Path, left_out: LeftOut) -> list[os.DirEntry[str]]:
    """The images of a class in the order of torchvision's ``ImageFolder``."""
    found = sorted((folder, entry.name, entry) for folder, entry in _walk(class_dir, left_out))
    return [entry for _, _, entry in found]


def _size_and_time(entry: os.DirEntry[str]) -> tuple[int, int]:
    try:
        status = entry.stat()
    except OSError:
        return ABSENT
    return status.st_size, status.st_mtime_ns


def _walk(top: Path, left_out: LeftOut) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """The image files below `top`, links followed, each with its folder.

    ``os.walk`` would skip folders without the right to read, follow a link to a parent folder forty times, and drop
    what `os.scandir` knows of a file.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(str(top), frozenset())]
    while waiting:
        folder, outer = waiting.pop()
        try:
            status = os.stat(folder)
            identity = status.st_dev, status.st_ino
            if identity in outer:
                raise RequestError(
                    f"dataset.dir: {printable(folder)} is a link to a folder that holds it; remove it: it has no end"
                )
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = entry.name.lower()
                    if name[0] == "." or name in LITTER:
                        left_out.add_litter(entry.path)
                    elif _is_folder(entry):
                        waiting.append((entry.path, outer | {identity}))
                    elif name.endswith(IMAGE_SUFFIXES):
                        yield folder, entry
                    else:
                        left_out.add_unread(name)
        except OSError as error:
            _refuse(folder, error)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link without an end; the file that it is then cannot be read


def _refuse(folder: str, error: OSError) -> NoReturn:
    raise RequestError(
        f"dataset.dir: {printable(folder)} cannot be read ({error.strerror}); give the right to, or remove it"
    ) from error


def has_images(class_dir: Path, at_least: int) -> bool:
    """Whether a class folder holds that many images; reads no more files than it must."""
    return _reaches(images(class_dir), at_least)


def _reaches(paths: Iterator[str], count: int) -> bool:
    return any(number == count for number, _ in enumerate(paths, start=1))


def check_tree(
    root: str | None, train_batch_size: int, min_images_per_class: int, splits: Sequence[str] = SPLITS
) -> list[str]:
    """Check the tree below `root`, or some splits of it, and return its class names.

    Reads no more of a large tree than it must: the class folders, and files until each check is decided.

    Raises:
        RequestError: no folder, no class, an empty class, classes that differ between train and val, or fewer training
            images than one batch.
    """
    path = folder(root)
    names = {split: class_names(path / split) for split in splits}
    _check_classes(path, names)
    for split, found in names.items():
        least = max(1, min_images_per_class) if split == "train" else 1
        for name in found:
            if not has_images(path / split / name, least):
                raise RequestError(_too_few(path / split / name, least))
    train = names.get("train", [])
    all_train = (file for name in train for file in images(path / "train" / name))
    if train and not _reaches(all_train, train_batch_size):
        found = sum(1 for name in train for _ in images(path / "train" / name))
        raise RequestError(
            f"train_batch_size={train_batch_size} is more than the {found:,} training images in {path / 'train'}; "
            f"use train_batch_size={max(1, found // 8)} or less, and scale optimizer.lr with it"
        )
    return names[splits[0]]


def _check_classes(path: Path, names: dict[str, list[str]]) -> None:
    for split, found in names.items():
        if not found:
            raise RequestError(no_classes(path / split, path))
    train, val = (set(names.get(split, names["val"])) for split in SPLITS)
    missing, extra = sorted(train - val), sorted(val - train)
    if missing or extra:
        differences = [f"{_few(missing)} missing in val"] * bool(missing) + [f"{_few(extra)} only in val"] * bool(extra)
        raise RequestError(
            f"dataset.dir={path}: train and val have different classes ({', '.join(differences)}); "
            "give both the same class folders"
        )


def no_classes(folder: Path, root: Path) -> str:
    """What is said of a folder without class folders: a split below `root`, or `root` itself."""
    return f"dataset.dir: {printable(folder)} holds no class folders; {image_layouts.way_on(root)}"


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _too_few(class_dir: Path, least: int) -> str:
    found = sum(1 for _ in images(class_dir))
    if found == 0:
        return f"dataset.dir: {class_dir} holds no images ({', '.join(IMAGE_SUFFIXES)}); add some or remove the class"
    return (
        f"dataset.dir: {class_dir} holds {found} image, fewer than dataset.min_images_per_class={least}; "
        f"add images or set dataset.min_images_per_class={found}"
    )
