"""Image folders as they are downloaded: what they hold in place of ``train/<class>/*``, and what mends it."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

LAYOUT = "dataset.dir must hold train/<class>/* and val/<class>/*"
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
# torchvision.datasets.folder.IMG_EXTENSIONS, which cannot be imported here without torch (a test compares them), and
# the name that Windows and browsers give to JPEGs.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
# Names of splits elsewhere, in lower case.
OTHER_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation", "test")}
# ImageNet's own archives, and the table of Kaggle's copy that has the classes of val.
IMAGENET_TARS = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz")
KAGGLE_TABLE = "LOC_val_solution.csv"
VALPREP = "https://raw.githubusercontent.com/soumith/imagenetloader.torch/master/valprep.sh"
# Entries that are looked at in a folder, and folders below dataset.dir.
MOST_ENTRIES, DEEPEST = 2000, 3


def way_on(root: Path) -> str:
    """What a folder that is not an image folder holds in place of one, with what mends it; else how one looks."""
    looks: tuple[Callable[[Path], str | None], ...] = (_missing, _tars, _higher, _lower, _renamed, _flat, _archives)
    return next((found for look in looks if (found := look(root)) is not None), LAYOUT)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _use(path: Path) -> str:
    return f"use {shlex.quote(f'dataset.dir={path}')}"


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Some entries of a folder, sorted; none if it cannot be read."""
    found: list[os.DirEntry[str]] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                found.append(entry)
            if len(found) == MOST_ENTRIES:
                break
    return sorted(found, key=lambda entry: entry.name)


def _names(folder: Path, folders: bool) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_dir() == folders]


def _is_root(folder: Path) -> bool:
    return (folder / "train").is_dir() and (folder / "val").is_dir()


def _missing(root: Path) -> str | None:
    """An archive, or a folder that does not exist."""
    if root.is_file() and root.name.lower().endswith(ARCHIVES):
        return f"it is an archive: mkdir DIR && {_extract(root)} DIR, then dataset.dir=DIR"
    return None if root.is_dir() else LAYOUT


def _extract(archive: Path) -> str:
    zipped = archive.suffix.lower() == ".zip"
    return f"unzip -q {_quoted(archive)} -d" if zipped else f"tar xf {_quoted(archive)} -C"


def _tars(root: Path) -> str | None:
    """ImageNet's tars, as they are downloaded, or with the tars of the classes still in train."""
    tars = [name for name in _names(root / "train", folders=False) if name.endswith(".tar")]
    if tars and not _names(root / "train", folders=True):
        loop = 'for t in *.tar; do mkdir "${t%.tar}" && tar xf "$t" -C "${t%.tar}" && rm "$t"; done'
        return f"{root / 'train'} holds {tars[0]} and the like: cd {_quoted(root / 'train')} && {loop}"
    there = [name for name in IMAGENET_TARS if (root / name).is_file()]
    if not there:
        return None
    if len(there) < len(IMAGENET_TARS):
        missing = ", ".join(name for name in IMAGENET_TARS if name not in there)
        return f"it holds {there[0]}; put {missing} beside it, then give the same command again"
    return f"it holds ImageNet's tars: resnet_exp data imagenet {_quoted(root)}"


def _higher(root: Path) -> str | None:
    """`root` is train, val, or a class of them."""
    for split in (root, root.parent):
        if split.name in ("train", "val") and _is_root(split.parent):
            return f"{split.parent} holds train and val: {_use(split.parent)}"
    return None


def _lower(root: Path) -> str | None:
    """The image folder is below `root`."""
    if _is_root(root):
        return None
    found = next((folder for folder in _below(root, DEEPEST) if _has_images(folder / "train")), None)
    return None if found is None else f"{found} holds train: {_use(found)}"


def _has_images(split_dir: Path) -> bool:
    """Whether the first class has images: Kaggle's copy of ImageNet has annotations in folders of the same names."""
    return any(
        name.lower().endswith(IMAGE_SUFFIXES)
        for label in _names(split_dir, folders=True)[:1]
        for name in _names(split_dir / label, folders=False)[:1]
    )


def _below(root: Path, depth: int) -> Iterator[Path]:
    folders = [root / name for name in _names(root, folders=True)[:20]]
    yield from folders
    if depth > 1:
        for folder in folders:
            yield from _below(folder, depth - 1)


def _renamed(root: Path) -> str | None:
    """The splits have other names."""
    there = _names(root, folders=True)
    moves = []
    for split, names in OTHER_NAMES.items():
        if split not in there:
            other = next((name for wanted in names for name in there if name.lower() == wanted), None)
            if other is None:
                return None
            moves.append(f"mv {_quoted(root / other)} {_quoted(root / split)}")
    return f"it calls them otherwise: {' && '.join(moves)}" if moves else None


def _flat(root: Path) -> str | None:
    """There are images without class folders, or class folders without splits."""
    for split in ("val", "train"):
        if image := _unsorted(root / split):
            return f"{split} holds images such as {image}: {_sort_into_classes(root / split)}"
    if image := _unsorted(root):
        way = f"put those of each class into a folder of its own there, then resnet_exp data split {_quoted(root)}"
        return f"it holds images such as {image}: {way}"
    there = _names(root, folders=True)
    if there and not {"train", "val"}.intersection(there):
        return f"it holds {', '.join(there[:3])} and no train and val: resnet_exp data split {_quoted(root)}"
    if "train" in there and "val" not in there:
        return f"it has no val: resnet_exp data split {_quoted(root / 'train')} -o {_quoted(split_name(root))}"
    return None


def _unsorted(folder: Path) -> str | None:
    """The first image of a folder that has images and no folders of them."""
    images = (name for name in _names(folder, folders=False) if name.lower().endswith(IMAGE_SUFFIXES))
    return None if _names(folder, folders=True) else next(images, None)


def split_name(root: Path) -> Path:
    """Where ``resnet_exp data split`` puts train and val by default: beside the folder."""
    return root.with_name(f"{root.name}-split")


def _sort_into_classes(folder: Path) -> str:
    tables = [parent / KAGGLE_TABLE for parent in folder.parents[:5]]
    if (table := next((path for path in tables if path.is_file()), None)) is not None:
        loop = 'while IFS=, read -r i c; do mkdir -p "${c%% *}" && mv "$i.JPEG" "${c%% *}"; done'
        return f"cd {_quoted(folder)} && tail -n +2 {_quoted(table)} | {loop}"
    if folder.name == "val" and any(name.startswith("ILSVRC2012_val_") for name in _names(folder, folders=False)[:1]):
        return f"cd {_quoted(folder)} && wget -qO- {VALPREP} | bash"
    return f"move each into {folder}/<class>"


def _archives(root: Path) -> str | None:
    """Nothing but archives."""
    found = [name for name in _names(root, folders=False) if name.lower().endswith(ARCHIVES)]
    if not found:
        return None
    archive = root / found[0]
    return f"it holds {found[0]}: {_extract(archive)} {_quoted(root)}"
