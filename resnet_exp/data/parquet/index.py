"""What a split of Parquet files holds, read from footers and labels alone: row groups, class numbers, class names."""

from __future__ import annotations

import hashlib
import io
import json
import statistics
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import printable
from resnet_exp.data.images.fingerprint import SplitState
from resnet_exp.data.parquet import names, reading
from resnet_exp.data.parquet.columns import Columns, Group, columns_of, first_null_group, groups_of
from resnet_exp.data.parquet.storage import CONTENTS, DataFile, Range, Storage

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

Numbers = npt.NDArray[np.int64]
Named = tuple[str, str]
# Files that are looked at at a time.
AT_ONCE = 8
# Read of the end of a file at first: most footers are shorter.
END_BYTES = 2**16
MAGIC, TAIL_BYTES = b"PAR1", 8
# What this process has read already, by folder, files and columns.
_known: dict[tuple[Path, tuple[DataFile, ...], Named, tuple[str, ...] | None], SplitIndex] = {}
_lock = Lock()


@dataclass(frozen=True)
class FileIndex:
    """A file: its row groups, class numbers (or numbers of `names`), and what they are read with."""

    file: DataFile
    path: Path
    footer: FileMetaData
    columns: Columns
    groups: list[Group]
    labels: Numbers
    names: list[str]
    digest: str


@dataclass(frozen=True)
class SplitIndex:
    """The images of a split, in the order of files and rows.

    Attributes:
        storage: where the files are.
        files: of the split.
        classes: names of the classes, in the order of the class numbers.
        labels: class number of each image.
        starts: number of the first image of each row group, and of all images.
        groups: file and number within the file of each row group.
    """

    storage: Storage
    files: list[FileIndex]
    classes: list[str]
    labels: Numbers
    starts: Numbers
    groups: list[tuple[int, int]]

    def part(self, number: int) -> tuple[FileIndex, int, Group]:
        """A row group: its file, its number there, and where it is."""
        file, group = self.groups[number]
        return self.files[file], group, self.files[file].groups[group]

    def load(self, number: int) -> reading.Images:
        """The encoded images of a row group; raises `RunFailed` if it cannot be fetched or read."""
        file, group, place = self.part(number)
        self.storage.ensure(file.file, group + 1, [place.images])
        return reading.images_of(file.path, file.footer, file.columns, group)

    def place(self, image: int) -> str:
        """How an image is called in a message."""
        number = int(np.searchsorted(self.starts, image, "right")) - 1
        file, group = self.groups[number]
        return reading.place(self.files[file].path, group, image - int(self.starts[number]))

    def state(self) -> SplitState:
        """For ``dataset.json``: files that are copied elsewhere are the same."""
        whole = hashlib.blake2b(
            json.dumps([self.classes, [file.digest for file in self.files]]).encode(), digest_size=16
        )
        counts = np.bincount(self.labels, minlength=len(self.classes)).tolist()
        return SplitState(whole.hexdigest(), "", counts, [], [])

    def missing_bytes(self) -> int:
        """Bytes of the row groups that have still to be fetched."""
        parts = (self.part(number) for number in range(len(self.groups)))
        return sum(
            place.images[1] - place.images[0]
            for file, group, place in parts
            if not self.storage.has(file.file, group + 1)
        )


def index_of(storage: Storage, split: str, columns: Named, classes: tuple[str, ...] | None) -> SplitIndex | None:
    """The images of a split; None if there are no files of it.

    Args:
        storage: where the files are.
        split: ``train`` or ``val``.
        columns: names of the columns of images and of labels.
        classes: names of the classes where the files have none for numbers; None: those that are found.

    Raises:
        RequestError: files are missing, cannot be read, or do not go with each other.
        RunFailed: the store does not answer, or gives other bytes than it says.
    """
    listed = {file.name: file for file in storage.listed()}
    chosen = names.files_of(listed, split)
    names.check_complete(storage.root, chosen)
    if not chosen:
        return None
    files = tuple(listed[name] for name in chosen)
    key = (storage.folder, files, columns, classes)
    with _lock:
        if key not in _known:
            _known[key] = _read(storage, files, columns, classes)
        return _known[key]


def _read(storage: Storage, files: Sequence[DataFile], columns: Named, classes: tuple[str, ...] | None) -> SplitIndex:
    found: list[FileIndex] = []
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for number, index in enumerate(threads.map(lambda file: _file(storage, file, *columns), files), start=1):
            found.append(index)
            if storage.remote is not None:
                console.status(f"read what {number:,} of {len(files):,} Parquet files of {storage.root} hold")
    _check_alike(found)
    labels, every = _numbered(found, classes)
    rows = [group.rows for each in found for group in each.groups]
    groups = [(file, group) for file, each in enumerate(found) for group in range(len(each.groups))]
    starts = np.cumsum([0, *rows])
    kept = [number for number, count in enumerate(rows) if count]
    if not kept:
        raise RequestError(f"dataset.dir={storage.root}: {found[0].file.name} and the rest of its split hold no images")
    return SplitIndex(
        storage, found, every, labels, np.append(starts[kept], starts[-1]), [groups[number] for number in kept]
    )


def _file(storage: Storage, file: DataFile, image: str, label: str) -> FileIndex:
    path = storage.path(file)
    storage.remove_superseded(file)
    try:
        if not storage.has(file, CONTENTS):
            storage.ensure(file, CONTENTS, _contents(storage, file, image, label))
        footer = reading.footer_of(path)
        columns = columns_of(footer, printable(path), image, label)
        if (group := first_null_group(footer, columns)) is not None:
            storage.ensure(file, group + 1, [groups_of(footer, columns, printable(path))[group].images])
            reading.images_of(path, footer, columns, group)
        groups = groups_of(footer, columns, printable(path))
        labels, own = reading.labels_of(path, footer, columns)
    except RunFailed as error:
        # Of a store: trying again can help.
        raise (RequestError(str(error)) if storage.remote is None else error) from error
    if len(labels) != sum(group.rows for group in groups):
        raise RequestError(f"{printable(path)} is damaged: it says that it has another number of rows; {reading.FIX}")
    return FileIndex(file, path, footer, columns, groups, labels, own, _digest(file, path))


def _digest(file: DataFile, path: Path) -> str:
    """Of name, size and footer, which has the places of all images."""
    with path.open("rb") as content:
        start = max(0, file.bytes - END_BYTES)
        content.seek(start)
        return f"{file.name} {file.bytes} {zlib.crc32(content.read())}"


def _contents(storage: Storage, file: DataFile, image: str, label: str) -> list[Range]:
    """Where the footer and the labels of a file in a store are."""
    import pyarrow as pa
    from pyarrow import parquet

    start = max(0, file.bytes - END_BYTES)
    end = storage.read(file, start, file.bytes)
    length = int.from_bytes(end[-TAIL_BYTES : -len(MAGIC)], "little") + TAIL_BYTES
    if not end.endswith(MAGIC) or length > file.bytes:
        raise RequestError(f"{storage.root}/{file.name} is no Parquet file, or cut off; {reading.FIX}")
    if length > len(end):
        start = file.bytes - length
        end = storage.read(file, start, file.bytes)
    where = f"{storage.root}/{file.name}"
    try:
        footer = parquet.read_metadata(pa.BufferReader(MAGIC + end))
    except (OSError, pa.ArrowException) as error:
        raise RequestError(f"{where} is no Parquet file, or damaged; {reading.FIX}") from error
    columns = columns_of(footer, where, image, label)
    return [(start, file.bytes), *(group.labels for group in groups_of(footer, columns, where))]


def _check_alike(found: Sequence[FileIndex]) -> None:
    """Check that all files of a split have the same columns and classes."""
    first = found[0]
    for other in found[1:]:
        if (other.columns.image, other.columns.text) != (first.columns.image, first.columns.text):
            raise RequestError(f"{printable(other.path)} and {printable(first.path)} have columns of different types")
        if other.columns.classes != first.columns.classes:
            raise RequestError(f"{printable(other.path)} and {printable(first.path)} have different classes")


def _numbered(found: Sequence[FileIndex], known: tuple[str, ...] | None) -> tuple[Numbers, list[str]]:
    """Class number of each image, and the names of the classes; those that are `known` where no file has names."""
    first = found[0].columns
    if first.text:
        classes = list(known or sorted({name for each in found for name in each.names}))
        numbers = {name: number for number, name in enumerate(classes)}
        for each in found:
            if strange := sorted(set(each.names).difference(numbers)):
                raise RequestError(
                    f"{printable(each.path)}: class {printable(strange[0])} is not among those to train on; give both "
                    "splits the same classes"
                )
        tables = [np.array([numbers[name] for name in each.names], np.int64) for each in found]
        return np.concatenate([table[each.labels] for table, each in zip(tables, found, strict=True)]), classes
    labels = np.concatenate([each.labels for each in found])
    classes = list(first.classes or known or map(str, range(int(labels.max(initial=-1)) + 1)))
    if (outside := (labels < 0) | (labels >= len(classes))).any():
        image = int(np.flatnonzero(outside)[0])
        ends = np.cumsum([len(each.labels) for each in found])
        file = int(np.searchsorted(ends, image, "right"))
        row = image - int(ends[file]) + len(found[file].labels)
        raise RequestError(
            f"{printable(found[file].path)}: row {row} is of class {labels[image]}, there are classes 0 to "
            f"{len(classes) - 1}; a split without labels is of no use"
        )
    return labels, classes


def shorter_side(index: SplitIndex, most: int) -> int | None:
    """Median of the shorter sides in pixels of at most `most` images of some row groups; None if none can be read."""
    # Imported late: it takes a tenth of a second.
    from PIL import Image

    sides: list[int] = []
    step = len(index.groups) // 4 + 1
    for number in range(0, len(index.groups), step):
        try:
            images = index.load(number)
        except RunFailed:
            continue  # who needs the images says so
        count = len(images.begins) - 1
        for row in range(0, count, count * 4 // most + 1):
            try:
                with Image.open(io.BytesIO(images.content(row).tobytes())) as image:
                    sides.append(min(image.size))
            except Exception:
                continue  # of damaged files Pillow raises anything
    return statistics.median_low(sides) if sides else None
