"""The conversion of one split, whatever the format: hands tasks to workers, shows progress, completes the result."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import plural, printable, span
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.encode import Settings, encode
from resnet_exp.data.conversion.manifest import Content
from resnet_exp.data.conversion.worker import ImageWorker, Job, Noted, Refused
from resnet_exp.data.conversion.worker_pool import WorkerLost, WorkerPool, pool_size
from resnet_exp.data.images import image_tree
from resnet_exp.data.images.image_tree import ImageFile


@dataclass
class Conversion(ABC):
    """One split on its way from `folder` to `target`; `unfinished` is what there is of it so far."""

    title: ClassVar[str]
    folder: Path
    target: Path
    unfinished: Path
    settings: Settings
    sources: list[ImageFile]
    refused: dict[int, str] = field(default_factory=dict, kw_only=True)
    noted: Counter[str] = field(default_factory=Counter, kw_only=True)

    def path(self, number: int) -> str:
        """An image file."""
        return str(self.folder / self.sources[number].name)

    def job(self, number: int) -> Job:
        """What a worker is told of an image."""
        return Job(number, self.sources[number].name)

    def run(self, workers: int, most_skipped: int, patience: float) -> None:
        """Convert all images that are not there yet, then put the whole in its place.

        Args:
            workers: processes at most.
            most_skipped: number of images that may be left out because they cannot be converted.
            patience: seconds without a message from any worker after which the conversion fails.

        Raises:
            RunFailed: an image cannot be converted, or a worker was lost.
            OSError: nothing can be written.
        """
        self.open()
        tasks = self.tasks()
        progress = Progress(self.target.name, len(self.sources), self.images_there)
        try:
            with WorkerPool(pool_size(workers, len(tasks)), self.worker) as pool:
                for event in pool.work(tasks, self.page_numbers(), patience):
                    self._take(event, most_skipped, progress)
        except WorkerLost as lost:
            where = "" if lost.number is None else f" while it read {printable(self.path(lost.number))}"
            raise RunFailed(f"a process of the writer {lost.how}{where}") from lost
        finally:
            self.close()
        progress.end()
        for how, count in self.noted.items():
            console.say(f"{self.target.name}: {plural(count, 'image')} of these without restart markers, {how}")
        self.finish()
        if self.refused:
            listed = printable(manifests.path_of(self.target))
            console.say(f"{self.target.name}: {plural(len(self.refused), 'image')} skipped; {listed} lists them")

    @property
    @abstractmethod
    def images_there(self) -> int:
        """Images that an earlier try converted."""

    @abstractmethod
    def open(self) -> None:
        """Begin to write."""

    @abstractmethod
    def close(self) -> None:
        """Stop writing."""

    @abstractmethod
    def tasks(self) -> Sequence[object]:
        """What is left to do, as tasks of workers."""

    @abstractmethod
    def worker(self, connection: Connection, current: mmap, slot: int) -> ImageWorker:
        """A worker; see `ImageWorker`."""

    @abstractmethod
    def add(self, part: Any) -> None:
        """Note what a worker has written."""

    @abstractmethod
    def finish(self) -> None:
        """Write what comes last, and give the result its name."""

    def stored_bytes(self, source: ImageFile) -> int | None:
        """Bytes that an image will take; None if it cannot be converted."""
        try:
            return encode(str(self.folder / source.name), source.name, self.settings).content.size
        except RunFailed:
            return None

    @abstractmethod
    def bytes_for(self, mean: float, workers: int) -> int:
        """Bytes that the whole will take if an image takes `mean`."""

    @property
    @abstractmethod
    def bytes_there(self) -> int:
        """Bytes that the unfinished part takes already."""

    def page_numbers(self) -> Iterator[int]:
        """Numbers that workers ask for."""
        return iter(())

    def content(self, settings: dict[str, object], labels: list[int]) -> Content:
        """What the manifest says of images of these classes.

        Raises:
            RunFailed: a class has no images.
        """
        classes = image_tree.class_names(self.folder)
        counts = [0] * len(classes)
        for label in labels:
            counts[label] += 1
        if 0 in counts:
            empty = self.folder / classes[counts.index(0)]
            raise RunFailed(f"of {printable(empty)} no image can be converted; repair some or remove the class")
        return Content(
            settings=settings,
            classes=classes,
            class_images=counts,
            source=manifests.origin_of(self.folder, classes, self.sources),
            skipped=[[self.sources[number].name, why] for number, why in sorted(self.refused.items())],
        )

    def _take(self, event: Any, most_skipped: int, progress: Progress) -> None:
        if isinstance(event, int):
            progress.add(event)
        elif isinstance(event, OSError):
            raise event
        elif isinstance(event, Refused):
            self._refuse(event, most_skipped)
        elif isinstance(event, Noted):
            self.noted[event.how] += 1
        else:
            self.add(event)

    def _refuse(self, event: Refused, most_skipped: int) -> None:
        self.refused[event.number] = event.reason
        if most_skipped == 0:
            raise RunFailed(event.reason)
        if len(self.refused) > most_skipped:
            raise RunFailed(
                f"more than max_skipped={most_skipped} images cannot be converted; the last: {event.reason}"
            )


TERMINAL_SECONDS, PLAIN_SECONDS = 0.2, 30.0


class Progress:
    """Shows images done, images/s and the remaining time: one line on a terminal, a line now and then elsewhere."""

    def __init__(self, name: str, images: int, before: int) -> None:
        """`before` of `images` were converted by an earlier try."""
        self._name, self._images, self._done, self._before = name, images, before, before
        self._began = self._shown = time.monotonic()
        self._every = PLAIN_SECONDS if console.width() is None else TERMINAL_SECONDS
        if before:
            console.say(f"{name}: {before:,} of {images:,} images are there from an earlier try")

    def add(self, images: int) -> None:
        """Count images, and show the progress from time to time."""
        self._done += images
        now = time.monotonic()
        if now - self._shown < self._every:
            return
        self._shown = now
        line = (
            f"{self._name}: {self._done:,} of {self._images:,} images  {self._rate():,.0f} images/s  ETA {self._eta()}"
        )
        (console.say if console.width() is None else console.status)(line)

    def end(self) -> None:
        """Show the total and its speed."""
        took = span(time.monotonic() - self._began)
        console.say(f"{self._name}: {self._done - self._before:,} images in {took}, {self._rate():,.0f} images/s")

    def _rate(self) -> float:
        return (self._done - self._before) / max(1e-3, time.monotonic() - self._began)

    def _eta(self) -> str:
        return span((self._images - self._done) / max(1e-3, self._rate()))
