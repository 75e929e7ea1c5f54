"""ImageNet's development kit: its classes, how many images each has, and the class of each validation image."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.terminal.text import one_line, printable

META, GROUND_TRUTH = "data/meta.mat", "data/ILSVRC2012_validation_ground_truth.txt"
# Of the file's table of synsets: number, WordNet ID, number of children (0 of a class), and of training images.
NUMBER, WNID, CHILDREN, IMAGES = "ILSVRC2012_ID", "WNID", "num_children", "num_train_images"


@dataclass(frozen=True)
class Devkit:
    """What the archives should hold: training images of each class by WordNet ID, classes of the validation images."""

    train: dict[str, int]
    val: list[str]

    @property
    def facts(self) -> tuple[int, int, int]:
        """Numbers of training images, validation images and classes."""
        return sum(self.train.values()), len(self.val), len(self.train)


# ILSVRC 2012, as published.
PUBLISHED = (1_281_167, 50_000, 1_000)


def read_devkit(archive: Path) -> Devkit:
    """Read ``ILSVRC2012_devkit_t12.tar.gz``.

    Raises:
        RunFailed: it is damaged, or another file.
    """
    try:
        with tarfile.open(archive) as tar:
            table, truth = (_content(tar, name) for name in (META, GROUND_TRUTH))
        classes = _classes(table)
        val = [classes[int(number)][0] for number in truth.split()]
    except Exception as error:
        # Of damaged files zlib, tarfile and SciPy raise anything.
        reason = one_line(error) or type(error).__name__
        raise RunFailed(f"{printable(archive)} is damaged or another file ({reason}); download it again") from error
    return Devkit(dict(classes.values()), val)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    found = next((member for member in tar if member.name.endswith(f"/{name}")), None)
    file = None if found is None else tar.extractfile(found)
    if file is None:
        raise ValueError(f"it holds no {name}")
    return file.read()


def _classes(table: bytes) -> dict[int, tuple[str, int]]:
    """WordNet ID and number of training images of each class, by its number."""
    # Imported late: it takes half a second.
    from scipy.io import loadmat

    rows = cast(Any, loadmat(io.BytesIO(table), squeeze_me=True)["synsets"])
    return {int(row[NUMBER]): (str(row[WNID]), int(row[IMAGES])) for row in rows.reshape(-1) if int(row[CHILDREN]) == 0}
