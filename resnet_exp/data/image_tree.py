"""Image folders, ``dir/train/<class>/*`` and ``dir/val/<class>/*``: what is in them, and quick checks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from resnet_exp.core.errors import RequestError
from resnet_exp.core.text import printable

# As torchvision.datasets.folder.IMG_EXTENSIONS, which cannot be imported here without torch; a test compares them.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
SPLITS = ("train", "val")
LAYOUT = "dataset.dir must hold train/<class>/* and val/<class>/*"


def folder(root: str | None) -> Path:
    """The dataset's folder; raises `RequestError` if there is none."""
    if not root:
        raise RequestError(f"dataset.dir is not set; use dataset.dir=PATH ({LAYOUT})")
    if not Path(root).is_dir():
        raise RequestError(f"dataset.dir={root} is not a folder; {LAYOUT}")
    return Path(root)


def class_names(split_dir: Path) -> list[str]:
    """Sorted names of the class folders of one split."""
    try:
        with os.scandir(split_dir) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        raise RequestError(f"dataset.dir: {split_dir} does not exist; {LAYOUT}") from None
    except OSError as error:
        raise RequestError(f"dataset.dir: {split_dir} cannot be read ({error.strerror}); {LAYOUT}") from None


def images(class_dir: Path) -> Iterator[str]:
    """Paths of the image files below a class folder, as torchvision's ``ImageFolder`` would find them."""
    for folder, files in _walk(class_dir):
        for name in files:
            if _is_image(name):
                yield os.path.join(folder, name)


def _walk(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below `top` and their files, links followed.

    ``os.walk`` alone would skip folders without the right to read, and follow a link to a parent folder forty times.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """

    def refuse(error: OSError) -> NoReturn:
        raise RequestError(
            f"dataset.dir: {printable(error.filename)} cannot be read ({error.strerror}); "
            "give the right to, or remove it"
        )

    above: dict[str, frozenset[tuple[int, int]]] = {}
    for folder, below, files in os.walk(top, followlinks=True, onerror=refuse):
        try:
            status = os.stat(folder)
        except OSError as error:
            refuse(error)
        identity, outer = (status.st_dev, status.st_ino), above.pop(folder, frozenset())
        if identity in outer:
            raise RequestError(
                f"dataset.dir: {printable(folder)} is a link to a folder that holds it; remove it: it has no end"
            )
        above.update((os.path.join(folder, name), outer | {identity}) for name in below)
        yield folder, files


def samples(split_dir: Path) -> list[tuple[str, int]]:
    """Paths and class numbers of one split, in the order of torchvision's ``ImageFolder``.

    Raises:
        RequestError: a folder cannot be read, or contains itself through a link.
    """
    found = []
    for number, name in enumerate(class_names(split_dir)):
        for folder, files in sorted(_walk(split_dir / name)):
            found += [(os.path.join(folder, file), number) for file in sorted(files) if _is_image(file)]
    return found


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES)


def has_images(class_dir: Path, at_least: int) -> bool:
    """Whether a class folder holds that many images; reads no more files than it must."""
    return _reaches(images(class_dir), at_least)


def _reaches(paths: Iterator[str], count: int) -> bool:
    return any(number == count for number, _ in enumerate(paths, start=1))


def check_tree(root: str | None, train_batch_size: int, min_images_per_class: int) -> list[str]:
    """Check the tree below `root` and return its class names.

    Reads no more of a large tree than it must: the class folders, and files until each check is decided.

    Raises:
        RequestError: no folder, no class, an empty class, classes that differ between train and val, or fewer training
            images than one batch.
    """
    path = folder(root)
    train, val = (class_names(path / split) for split in SPLITS)
    _check_classes(path, train, val)
    for split, least in (("train", max(1, min_images_per_class)), ("val", 1)):
        for name in train:
            if not has_images(path / split / name, least):
                raise RequestError(_too_few(path / split / name, least))
    all_train = (file for name in train for file in images(path / "train" / name))
    if not _reaches(all_train, train_batch_size):
        found = sum(1 for name in train for _ in images(path / "train" / name))
        raise RequestError(
            f"train_batch_size={train_batch_size} is more than the {found:,} training images in {path / 'train'}; "
            f"use train_batch_size={max(1, found // 8)} or less, and scale optimizer.lr with it"
        )
    return train


def _check_classes(path: Path, train: list[str], val: list[str]) -> None:
    for split, names in zip(SPLITS, (train, val), strict=True):
        if not names:
            raise RequestError(f"dataset.dir: {path / split} holds no class folders; {LAYOUT}")
    missing, extra = sorted(set(train) - set(val)), sorted(set(val) - set(train))
    if missing or extra:
        differences = [f"{_few(missing)} missing in val"] * bool(missing) + [f"{_few(extra)} only in val"] * bool(extra)
        raise RequestError(
            f"dataset.dir={path}: train and val have different classes ({', '.join(differences)}); "
            "give both the same class folders"
        )


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
