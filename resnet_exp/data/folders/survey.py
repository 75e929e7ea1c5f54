"""Read every image of a folder, in all cores: what ``resnet_exp data check`` knows."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.machine.processes import die_with_parent
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.conversion.base import Progress
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_file import Facts, facts_of
from resnet_exp.data.images.image_tree import SPLITS, LeftOut

# Images that a process is given at a time.
IMAGES_A_TASK = 16


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
    """Read a folder with train and val, or one of classes.

    Args:
        root: the folder.
        quiet: print no lines about the progress; on a terminal, it is shown all the same.

    Raises:
        RequestError: it is no such folder, or cannot be read.
        RunFailed: a process that decodes images was lost.
    """
    if not root.is_dir():
        raise RequestError(f"{printable(root)} is not a folder; give one with train and val, or of classes")
    splits = [split for split in SPLITS if (root / split).is_dir()] or [""]
    left_out = LeftOut()
    classes = {split: image_tree.class_names(root / split) for split in splits}
    if not any(classes.values()):
        raise RequestError(image_tree.no_classes(root / splits[0]))
    listed = [
        (split, classes[split][image.label], str(root / split / image.name))
        for split in splits
        for image in image_tree.files(root / split, left_out)
    ]
    found = zip(listed, _read([path for *_, path in listed], root, quiet), strict=True)
    images = [Surveyed(*where, *answer) for where, answer in found]
    return Survey(root, classes, images, left_out)


def _read(paths: list[str], root: Path, quiet: bool) -> Iterator[tuple[Facts | None, str]]:
    shown = not quiet or console.width() is not None
    progress = Progress(printable(root.name), len(paths), 0)
    workers = max(1, min(usable_cpus(), len(paths) // IMAGES_A_TASK))
    pool = ProcessPoolExecutor(workers, get_context("fork"), _begin)
    try:
        for answer in pool.map(_facts, paths, chunksize=IMAGES_A_TASK):
            if shown:
                progress.add(1)
            yield answer
    except BrokenProcessPool:
        raise RunFailed(f"{printable(root)}: a process that decodes images was ended; out of memory?") from None
    finally:
        pool.shutdown(cancel_futures=True)
        console.status("")


def _begin() -> None:
    """In each process that decodes: end with this one, and leave Ctrl-C to it."""
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _facts(path: str) -> tuple[Facts | None, str]:
    try:
        return facts_of(path), ""
    except RunFailed as error:
        return None, str(error)
