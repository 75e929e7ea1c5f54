"""The conversion of one split to an index: its files are read once, and parts are written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ClassVar

import numpy as np

from resnet_exp.core import files
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.base import Conversion
from resnet_exp.data.conversion.encode import SOURCE, Settings
from resnet_exp.data.conversion.worker import IMAGES_A_REPORT, NOTHING, TASK_DONE, ImageWorker, Job
from resnet_exp.data.imagefolder import index, index_manifest
from resnet_exp.data.imagefolder.index import Indexed
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_tree import ImageFile
from resnet_exp.data.kernels.lossless.points import MOST_SHARE
from resnet_exp.data.kernels.lossless.source import points_of


@dataclass(frozen=True)
class PartTask:
    """The images of a part; `path` is where it is written, under a name that says of which images it is."""

    number: int
    jobs: list[Job]
    path: str


@dataclass
class IndexWorker(ImageWorker):
    """Indexes image files."""

    def work(self) -> None:
        """Make all parts."""
        while (task := self.next_task()) is not None:
            found: list[Indexed] = []
            for job in task.jobs:
                self.note(job.number)
                found.append(_indexed(f"{self.folder}/{job.name}"))
                if len(found) % IMAGES_A_REPORT == 0:
                    self.connection.send(IMAGES_A_REPORT)
            self.note(NOTHING)
            index.write_part(Path(task.path), found)
            if rest := len(found) % IMAGES_A_REPORT:
                self.connection.send(rest)
            self.connection.send(TASK_DONE)


def _indexed(path: str) -> Indexed:
    """An image; one that cannot be read has no points, and a loader says so when it comes to it."""
    try:
        content = files.read_bytes(path)
    except OSError:
        return Indexed(0, np.empty(0, np.uint64))
    return Indexed(index.key_of(memoryview(content)), points_of(content))


@dataclass
class IndexConversion(Conversion):
    """One split on its way into a folder of parts."""

    title: ClassVar[str] = index_manifest.IndexManifest.title

    parts: list[PartTask] = field(default_factory=list)

    @staticmethod
    def begin(folder: Path, target: Path, unfinished: Path, content: Mapping[str, object]) -> IndexConversion:
        """List the images; there are no settings."""
        del content
        found = list(image_tree.files(folder))
        # Nothing is encoded: the settings say nothing.
        conversion = IndexConversion(folder, target, unfinished, Settings(SOURCE, None, 0, 0), found)
        for number, first in enumerate(range(0, len(found), index.IMAGES_A_PART)):
            images = range(first, min(len(found), first + index.IMAGES_A_PART))
            digest = hashlib.blake2b("".join(found[image].key for image in images).encode(), digest_size=8)
            path = unfinished / f"{digest.hexdigest()}-{index.name_of(number)}"
            conversion.parts.append(PartTask(number, [conversion.job(image) for image in images], str(path)))
        return conversion

    def _there(self) -> list[PartTask]:
        """Parts that an earlier try has written, of images as they are now."""
        return [part for part in self.parts if Path(part.path).is_file()]

    @property
    def images_there(self) -> int:
        """Images in those."""
        return sum(len(part.jobs) for part in self._there())

    def open(self) -> None:
        """Begin to write; parts of other images are of no use."""
        self.unfinished.mkdir(parents=True, exist_ok=True)
        for stale in set(self.unfinished.iterdir()) - {Path(part.path) for part in self.parts}:
            stale.unlink()

    def close(self) -> None:
        """Nothing is held open."""

    def tasks(self) -> Sequence[PartTask]:
        """The parts that are missing."""
        there = {part.number for part in self._there()}
        return [part for part in self.parts if part.number not in there]

    def worker(self, connection: Connection, current: mmap, slot: int) -> IndexWorker:
        """A worker that writes parts."""
        return IndexWorker(connection, current, slot, str(self.folder), self.settings)

    def add(self, part: object) -> None:
        """Parts say nothing: their files are there."""

    def finish(self) -> None:
        """Name the parts by their numbers, write the manifest, and give the folder its name."""
        for part in self.parts:
            Path(part.path).rename(self.unfinished / index.name_of(part.number))
        content = self.content({}, [source.label for source in self.sources])
        manifests.write_manifest(self.target, index_manifest.describe(self.unfinished, content))
        self.unfinished.replace(self.target)

    def stored_bytes(self, source: ImageFile) -> int | None:
        """A share of the file's."""
        return int(MOST_SHARE * source.size)

    def bytes_for(self, mean: float, workers: int) -> int:
        """Bytes of all parts."""
        return int(mean * len(self.sources))

    @property
    def bytes_there(self) -> int:
        """Bytes of the parts that are there."""
        return sum(Path(part.path).stat().st_size for part in self._there())
