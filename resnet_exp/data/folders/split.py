"""Make train and val of a folder of classes, by links: ``resnet_exp data split``.

Symbolic links, because hard links can neither cross disks nor be made to files of other users. They are relative: both
folders may be moved together, or mounted elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import writing
from resnet_exp.core.terminal.text import plural, printable
from resnet_exp.data.images import image_layouts, image_tree
from resnet_exp.data.images.image_tree import SPLITS, LeftOut

# Of a class: two to train on, as ``dataset.min_images_per_class`` has it, and one to evaluate.
FEWEST_TRAIN, FEWEST_VAL = 2, 1
CLASSES_SHOWN = 3


@dataclass(frozen=True)
class Split:
    """What was made: the folder, its images of each class, by split and class, and what was left out."""

    folder: Path
    images: dict[str, dict[str, int]]
    left_out: LeftOut


def split_folder(source: Path, target: Path | None, val: float, seed: int) -> Split:
    """Make ``train/<class>`` and ``val/<class>`` of links to the images of ``<class>`` in `source`.

    Args:
        source: a folder of classes.
        target: the folder to make; None: beside the source, under its name and ``-split``.
        val: fraction of the images of each class to evaluate on.
        seed: another one draws other images. Images that are added later change little of the draw.

    Raises:
        RequestError: `source` is not a folder of classes, one of them has too few images, `target` exists, or cannot be
            written. Nothing is left of it.
    """
    if not 0 < val < 1:
        raise RequestError(f"--val {val:g} is not a fraction of the images; use one between 0 and 1, such as 0.2")
    source = source.absolute()
    target = image_layouts.split_name(source) if target is None else target.absolute()
    _check_target(source, target)
    left_out = LeftOut()
    classes = _images_of_classes(source, left_out)
    drawn = {name: _draw(name, images, val, seed) for name, images in classes.items()}
    with writing(f"-o {printable(target)}", "use -o DIR"):
        target.parent.mkdir(parents=True, exist_ok=True)
        _link_all(source.resolve(), target.parent.resolve() / target.name, drawn)
    counts = {split: {name: len(found[split]) for name, found in drawn.items()} for split in SPLITS}
    return Split(target, counts, left_out)


def _check_target(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise RequestError(f"{printable(target)} exists; remove it, or use -o DIR for another folder")
    if target.resolve().is_relative_to(source.resolve()):
        raise RequestError(f"-o {printable(target)} lies in {printable(source)}, whose folders are classes; use -o DIR")


def _images_of_classes(source: Path, left_out: LeftOut) -> dict[str, list[str]]:
    """Sorted paths of the images of each class, below its folder.

    Raises:
        RequestError: there are no classes, or one has too few images.
    """
    shown = printable(source)
    if not source.is_dir():
        raise RequestError(f"{shown} is not a folder; give one that holds <class>/*, a folder of images for each class")
    names = image_tree.class_names(source)
    if there := [split for split in SPLITS if split in names]:
        way = f"use dataset.dir={shown}" if len(there) == len(SPLITS) else image_layouts.way_on(source)
        raise RequestError(f"{shown} holds {' and '.join(there)} already; {way}")
    if len(names) < 2:
        raise RequestError(
            f"{shown} holds {plural(len(names), 'class folder')}; a classifier needs two or more: put the images of "
            "each class into a folder of its own there"
        )
    classes: dict[str, list[str]] = {name: [] for name in names}
    for image in image_tree.files(source, left_out):
        classes[names[image.label]].append(image.name.partition("/")[2])
    least = FEWEST_TRAIN + FEWEST_VAL
    if few := [f"{printable(name)} ({len(images)})" for name, images in classes.items() if len(images) < least]:
        more = f" and {len(few) - CLASSES_SHOWN} more" * (len(few) > CLASSES_SHOWN)
        raise RequestError(
            f"{shown}: a class needs {least} images or more, {FEWEST_TRAIN} to train and {FEWEST_VAL} to evaluate; "
            f"add some to {', '.join(few[:CLASSES_SHOWN])}{more}, or remove the folder"
        )
    return classes


def _draw(name: str, images: list[str], val: float, seed: int) -> dict[str, list[str]]:
    """The images of a class by split, in order; a hash of each image's name decides, so that it is always the same."""

    def drawn_at(image: str) -> bytes:
        text = f"{seed}/{name}/{image}"
        return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=8).digest()

    count = min(max(FEWEST_VAL, round(val * len(images))), len(images) - FEWEST_TRAIN)
    held_out = set(sorted(images, key=drawn_at)[:count])
    return {
        "train": [image for image in images if image not in held_out],
        "val": [image for image in images if image in held_out],
    }


def _link_all(source: Path, target: Path, drawn: dict[str, dict[str, list[str]]]) -> None:
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        for name, found in drawn.items():
            for split, images in found.items():
                for image in images:
                    place = Path(split, name, image)
                    (unfinished / place).parent.mkdir(parents=True, exist_ok=True)
                    (unfinished / place).symlink_to(os.path.relpath(source / name / image, (target / place).parent))
        unfinished.rename(target)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
