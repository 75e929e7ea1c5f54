"""Read every image of a folder or of Parquet files, in all cores: what ``resnet_exp data check`` knows."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.machine.processes import die_with_parent
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion.base import Progress
from resnet_exp.data.images import image_file, image_tree
from resnet_exp.data.images.image_file import Facts, facts_of
from resnet_exp.data.images.image_tree import SPLITS, LeftOut
from resnet_exp.data.parquet import names
from resnet_exp.data.parquet.files import ParquetFiles
from resnet_exp.data.parquet.index import SplitIndex
from resnet_exp.data.parquet.storage import Storage

# Images that a process is given at a time.
IMAGES_A_TASK = 16
# As ``conf/data/parquet.yaml`` has them.
IMAGE_COLUMN, LABEL_COLUMN = "image", "label"
# What processes that are forked have from this one.
_forked: dict[str, SplitIndex] = {}
Task = TypeVar("Task")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)  # of a million images
class Surveyed:
    """An image: split (empty where there is none), class, path, and what it holds, or why it cannot be read."""

    split: str
    label: str
    path: str
    facts: Facts | None
    fault: str = ""


@dataclass(frozen=True)
class Survey:
    """A folder: its classes by split, every image, and what is neither."""

    root: Path
    classes: dict[str, list[str]]
    images: list[Surveyed] = field(default_factory=list[Surveyed])
    left_out: LeftOut = field(default_factory=LeftOut)

    def counts(self, split: str) -> dict[str, int]:
        """Number of images of each class of a split."""
        found = dict.fromkeys(self.classes[split], 0)
        for image in self.images:
            if image.split == split:
                found[image.label] += 1
        return found


def survey(root: Path, quiet: bool) -> Survey:
    """Read a folder with train and val, one of classes, or one of Parquet files.

    Args:
        root: the folder.
        quiet: print no lines about the progress; on a terminal, it is shown all the same.

    Raises:
        RequestError: it is not such a folder, or cannot be read.
        RunFailed: a process that decodes images was lost.
    """
    if not root.is_dir():
        raise RequestError(f"{printable(root)} is not a folder; give one with train and val, or of classes")
    if (indexes := _parquet(root)) is not None:
        return _of_parquet(root, indexes, quiet)
    splits = [split for split in SPLITS if (root / split).is_dir()] or [""]
    left_out = LeftOut()
    classes = {split: image_tree.class_names(root / split) for split in splits}
    if not any(classes.values()):
        raise RequestError(image_tree.no_classes(root / splits[0], root))
    listed = [
        (split, classes[split][image.label], str(root / split / image.name))
        for split in splits
        for image in image_tree.files(root / split, left_out)
    ]
    answers = _read(_facts, [path for *_, path in listed], IMAGES_A_TASK, (root, len(listed), quiet))
    found = zip(listed, answers, strict=True)
    images = [Surveyed(*where, *answer) for where, answer in found]
    return Survey(root, classes, images, left_out)


def _parquet(root: Path) -> dict[str, SplitIndex] | None:
    """The splits of Parquet files; None if there are none. Their columns have the names that ``conf/data`` has."""
    listed = [file.name for file in Storage.of(str(root), "", {}, (IMAGE_COLUMN, LABEL_COLUMN)).listed()]
    if not any(names.files_of(listed, split) for split in SPLITS):
        return None
    files = ParquetFiles("", {}, IMAGE_COLUMN, LABEL_COLUMN, 1, 1)
    found = {split: files.index(str(root), split) for split in SPLITS}
    return {split: index for split, index in found.items() if index is not None}


def _of_parquet(root: Path, indexes: dict[str, SplitIndex], quiet: bool) -> Survey:
    _forked.update(indexes)
    groups = [(split, number) for split, index in indexes.items() for number in range(len(index.groups))]
    total = sum(len(index.labels) for index in indexes.values())
    splits = [split for split, index in indexes.items() for _ in index.labels]
    labels = [index.classes[label] for index in indexes.values() for label in index.labels]
    answers = (each for group in _read(_facts_of_group, groups, 1, (root, total, quiet)) for each in group)
    found = zip(splits, labels, answers, strict=True)
    images = [Surveyed(split, label, *answer) for split, label, answer in found]
    return Survey(root, {split: index.classes for split, index in indexes.items()}, images)


def _facts_of_group(task: tuple[str, int]) -> list[tuple[str, Facts | None, str]]:
    """Place of each image of a row group, and what it holds, or why it cannot be read."""
    index, number = _forked[task[0]], task[1]
    first, last = index.starts[number : number + 2].tolist()
    places = [index.place(image) for image in range(first, last)]
    try:
        images = index.load(number)
    except RunFailed as error:
        return [(place, None, str(error)) for place in places]
    found: list[tuple[str, Facts | None, str]] = []
    for row, place in enumerate(places):
        try:
            found.append((place, image_file.facts_of_content(images.content(row).tobytes(), place), ""))
        except RunFailed as error:
            found.append((place, None, str(error)))
    return found


def _read(
    ask: Callable[[Task], Answer], tasks: Sequence[Task], at_once: int, shown_as: tuple[Path, int, bool]
) -> Iterator[Answer]:
    """What processes answer to tasks, of which each is given `at_once`; last come folder, images, and `quiet`."""
    root, images, quiet = shown_as
    shown = not quiet or console.width() is not None
    progress = Progress(printable(root.name), images, 0)
    workers = max(1, min(usable_cpus(), len(tasks) // at_once))
    pool = ProcessPoolExecutor(workers, get_context("fork"), _begin, (os.getpid(),))
    try:
        for answer in pool.map(ask, tasks, chunksize=at_once):
            if shown:
                progress.add(len(answer) if isinstance(answer, list) else 1)
            yield answer
    except BrokenProcessPool:
        raise RunFailed(f"{printable(root)}: a process that decodes images was ended; out of memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)
        console.status("")


def _begin(parent: int) -> None:
    """In each process that decodes: end with its `parent`, and leave Ctrl-C to it."""
    die_with_parent(signal.SIGKILL, parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _facts(path: str) -> tuple[Facts | None, str]:
    try:
        return facts_of(path), ""
    except RunFailed as error:
        return None, str(error)
