"""Parquet files before a run starts: where they are, and whether they are what they should be."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import byte_size, plural, printable
from resnet_exp.data.conversion.files import FormatFiles, Known, check_number
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.images.fingerprint import Scan
from resnet_exp.data.images.image_tree import SPLITS
from resnet_exp.data.parquet import index as indexes
from resnet_exp.data.parquet import names
from resnet_exp.data.parquet.index import SplitIndex
from resnet_exp.data.parquet.storage import Storage

MOST_IMAGES = 10**9
# Of fewer images the sizes are looked at.
SMALL, SAMPLED = 2**16, 64
# The folder in which a repository of the Hub has its files: it does not name the data set.
HUB_FOLDER = "data"
# Of neighbors, those of one class: more of them, and the rows are sorted.
SORTED_PART = 0.5


@dataclass(frozen=True)
class ParquetFiles(FormatFiles):
    """The Parquet files in ``dataset.dir``, a folder or a URL.

    The fields are the settings of ``data.loader``, which ``conf/data/parquet.yaml`` explains.
    """

    storage_options: Mapping[str, object]
    image_column: str
    label_column: str
    shuffle_block: int
    canonical_ranks: int

    def index(self, root: str, split: str) -> SplitIndex | None:
        """The images of a split; None if there are no files of it.

        Where files have no names for numbers, the classes are those that images to train on have.

        Raises:
            RequestError: files are missing, cannot be read, or do not go with each other.
            RunFailed: the store does not answer, or gives other bytes than it says.
        """
        train = self.index(root, "train") if split != "train" else None
        classes = None if train is None else tuple(train.classes)
        return indexes.index_of(self._storage(root), split, (self.image_column, self.label_column), classes)

    def needed(self, root: str, split: str) -> SplitIndex:
        """The images of a split; raises `RequestError` if there are none."""
        if (found := self.index(root, split)) is not None:
            return found
        storage, word = self._storage(root), names.KEYWORDS[split][0]
        below = storage.folder / HUB_FOLDER
        if storage.remote is None and any(below.glob(f"*{names.SUFFIX}")):
            raise RequestError(f"dataset.dir={root} holds no Parquet files, {below} does; use dataset.dir={below}")
        # A store may say of what one has no right to that it is not there.
        rights = "" if storage.remote is None or storage.listed() else ", and you must have the right to list it"
        raise RequestError(f"dataset.dir={root} holds no {word}-*{names.SUFFIX}; {names.LAYOUT}{rights}")

    def _storage(self, root: str) -> Storage:
        return Storage.of(root, self.cache_dir, dict(self.storage_options), (self.image_column, self.label_column))

    def needs_folder(self) -> bool:
        """No image folder is read."""
        return False

    def place_of(self, root: str, split: str) -> Path:
        """Folder of a split's files, or of their copies."""
        found = self.index(root, split)
        return self._storage(root).folder if found is None else found.files[0].path.parent

    def known(self, root: str) -> Known | None:
        """See `FormatFiles.known`; of a data set to evaluate alone, the classes."""
        train = self.index(root, "train")
        classes = (train or self.needed(root, "val")).classes
        path = Path(root)
        folder = str(path.parent if path.name == HUB_FOLDER else path)
        if train is None:
            return Known(classes, None, folder)
        images = len(train.labels)
        return Known(classes, images, folder, indexes.shorter_side(train, SAMPLED) if images < SMALL else None)

    def check(self, root: str, options: ConversionOptions) -> dict[str, Path]:
        """See `FormatFiles.check`; nothing is converted."""
        found = {split: self.needed(root, split) for split in options.splits}
        for split, index in found.items():
            _check_class_count(root, split, index.classes, options.classes)
        if len(found) == len(SPLITS):
            _check_classes_agree(root, *(found[split].classes for split in SPLITS))
            self._note(found["train"], options)
        if self._storage(root).remote is not None:
            self._check_space(root, list(found.values()))
        return {}

    def prepare(self, root: str, options: ConversionOptions) -> list[Path]:
        """See `FormatFiles.prepare`: nothing is written but, of a store, what the files hold beside images."""
        self.check(root, options)
        return [self.place_of(root, split) for split in options.splits]

    def _note(self, train: SplitIndex, options: ConversionOptions) -> None:
        counts = np.bincount(train.labels, minlength=len(train.classes))
        if empty := [train.classes[number] for number in np.flatnonzero(counts == 0)]:
            options.say(
                f"note: {plural(len(empty), 'class')} without images to train on, such as {printable(empty[0])}"
            )
        if len(train.labels) > self.shuffle_block and np.mean(np.diff(train.labels) == 0) > SORTED_PART:
            options.say(
                "note: the rows of the Parquet files are sorted by class, so batches hold few classes; write them in "
                "another order, or set data.loader.shuffle_block to more images, which are in memory then"
            )

    def _check_space(self, root: str, found: Sequence[SplitIndex]) -> None:
        """Refuse a cache that cannot hold the row groups that this node has still to fetch."""
        needed = sum(index.missing_bytes() for index in found)
        free = shutil.disk_usage(found[0].files[0].path.parent).free
        if needed > free:
            raise RequestError(
                f"data.cache_dir={self.cache_dir} has {byte_size(free)} free, the images of {root} need "
                f"{byte_size(needed)} more; free some or set data.cache_dir=PATH"
            )

    def scan(self, root: str, split: str) -> Scan | None:
        """See `FormatFiles.scan`."""
        found = self.index(root, split)
        return None if found is None else Scan(found.classes, found.state())

    def facts(self, root: str) -> dict[str, object]:
        """For ``environment.json``: place, files and images of each split."""
        found = {split: self.needed(root, split) for split in SPLITS}
        return {
            split: {
                "folder": root,
                "files": [file.file.name for file in index.files],
                "images": len(index.labels),
                "source": index.state().fingerprint,
            }
            for split, index in found.items()
        }

    def check_settings(self) -> None:
        """Check what is read; see `FormatFiles.check_settings`."""
        for key in ("shuffle_block", "canonical_ranks"):
            check_number(key, getattr(self, key), (int,), 1, MOST_IMAGES)
        if not isinstance(self.storage_options, Mapping):
            raise RequestError(
                f"data.loader.storage_options={self.storage_options}: use +data.loader.storage_options.KEY=VALUE"
            )
        for key in ("image_column", "label_column"):
            if not isinstance(value := getattr(self, key), str):
                raise RequestError(f"data.loader.{key}={value}: use a text")


def _check_class_count(root: str, split: str, classes: list[str], wanted: int | None) -> None:
    if wanted is not None and len(classes) != wanted:
        raise RequestError(
            f"dataset.dir={root} has {len(classes)} classes in {split}, dataset.num_classes={wanted}; name other files "
            f"or set dataset.num_classes={len(classes)}"
        )


def _check_classes_agree(root: str, train: list[str], val: list[str]) -> None:
    if train == val:
        return
    pairs = zip(train, val, strict=False)
    number = next((number for number, (ours, theirs) in enumerate(pairs) if ours != theirs), min(len(train), len(val)))
    shown = " and ".join(printable(each[number]) if number < len(each) else "missing" for each in (train, val))
    raise RequestError(
        f"dataset.dir={root}: train and val have different classes: number {number} is {shown}; write both with the "
        "same names"
    )
