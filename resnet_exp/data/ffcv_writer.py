"""Writes FFCV files in a process of its own: ``python -m resnet_exp.data.ffcv_writer JSON``.

It ends with 0, or says in a line on standard error why not: with 2 when nothing was begun, else with 1. What it has
written then stays beside the file, and the next try goes on from there.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from resnet_exp import console, tree
from resnet_exp.data import ffcv_layout, file_manifest, prediction, sources
from resnet_exp.data.conversion_progress import Progress
from resnet_exp.data.encode import Settings
from resnet_exp.data.ffcv_files import REASON
from resnet_exp.data.ffcv_layout import Placed
from resnet_exp.data.journal import Journal, Layout
from resnet_exp.data.page_worker import Broken, Job, Page, Refused, Worker
from resnet_exp.data.sources import Source
from resnet_exp.data.team import IMAGES_A_LIST, Team, WorkerLost, team_size
from resnet_exp.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, RequestError, RunFailed

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT)


@dataclass
class Conversion:
    """One split on its way into one file."""

    folder: Path
    target: Path
    settings: Settings
    sources: list[Source]
    journal: Journal
    refused: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def begin(folder: Path, target: Path, unfinished: Path, settings: Settings) -> Conversion:
        """Look at the images, and at what an earlier try left."""
        found = sources.of_split(folder)
        journal = Journal(unfinished, found, settings)
        journal.check(lambda done, of: console.status(f"{target.name}: checking what there is, {done} of {of} pages"))
        return Conversion(folder, target, settings, found, journal)

    def path(self, number: int) -> str:
        """An image file."""
        return str(self.folder / self.sources[number].name)

    def run(self, workers: int, most_skipped: int, patience: float) -> None:
        """Convert all images that are not in the file yet, then put it in its place.

        Raises:
            RunFailed: an image cannot be converted, or the file cannot be written.
        """
        self.journal.open()
        missing = sorted(set(range(len(self.sources))) - self.journal.images)
        progress = Progress(self.target.name, len(self.sources), len(self.sources) - len(missing))
        try:
            with Team(team_size(workers, len(missing)), self._worker) as team:
                for event in team.work(self._lists(missing), self.journal.free_numbers(), patience):
                    self._take(event, most_skipped, progress)
        except WorkerLost as lost:
            where = "" if lost.number is None else f" while it read {tree.shown(self.path(lost.number))}"
            raise RunFailed(f"a process of the writer {lost.how}{where}") from lost
        finally:
            self.journal.close()
        progress.end()
        self._finish()

    def _worker(self, connection: Any, current: Any, slot: int) -> Worker:
        layout = self.journal.layout
        file = str(self.journal.unfinished)
        return Worker(connection, current, slot, file, str(self.folder), layout.pages_at, self.settings)

    def _lists(self, missing: list[int]) -> Iterator[list[Job]]:
        for start in range(0, len(missing), IMAGES_A_LIST):
            yield [Job(number, self.sources[number].name) for number in missing[start : start + IMAGES_A_LIST]]

    def _take(self, event: Page | Refused | Broken | int, most_skipped: int, progress: Progress) -> None:
        if isinstance(event, Page):
            self.journal.add(event)
        elif isinstance(event, Broken):
            raise OSError(event.number, event.reason)
        elif isinstance(event, Refused):
            self._refuse(event, most_skipped)
        else:
            progress.add(event)

    def _refuse(self, event: Refused, most_skipped: int) -> None:
        self.refused[event.number] = event.reason
        if most_skipped == 0:
            raise RunFailed(event.reason)
        if len(self.refused) > most_skipped:
            raise RunFailed(f"more than max_skipped={most_skipped} images are of no use; the last: {event.reason}")

    def _finish(self) -> None:
        placed = self._placed()
        classes = tree.class_names(self.folder)
        counts = [0] * len(classes)
        for image in placed:
            counts[image.label] += 1
        if 0 in counts:
            empty = self.folder / classes[counts.index(0)]
            raise RunFailed(f"of {tree.shown(empty)} no image can be converted; repair some or remove the class")
        unfinished = self.journal.unfinished
        manifest = self._write_ends(placed, classes, counts)
        file_manifest.write(self.target, manifest)
        os.replace(unfinished, self.target)
        self.journal.path.unlink()
        if self.refused:
            listed = tree.shown(file_manifest.path_of(self.target))
            console.say(f"{self.target.name}: {len(self.refused)} images were skipped; {listed} lists them")

    def _placed(self) -> list[Placed]:
        layout = self.journal.layout
        rows = {
            row.number: Placed(
                row.mode,
                row.width,
                row.height,
                layout.pages_at + page.number * layout.page_bytes + row.offset,
                row.size,
                self.sources[row.number].label,
            )
            for page in self.journal.pages.values()
            for row in page.rows
        }
        return [rows[number] for number in sorted(rows)]

    def _write_ends(self, placed: list[Placed], classes: list[str], counts: list[int]) -> file_manifest.Manifest:
        """Write what is before and behind the pages; returns the manifest of the whole."""
        layout, pages = self.journal.layout, self.journal.pages
        table_at = layout.pages_at + (max(pages) + 1) * layout.page_bytes
        head = ffcv_layout.head(placed, layout.page_bytes, table_at).ljust(layout.pages_at, b"\0")
        table = ffcv_layout.table(placed)
        with self.journal.unfinished.open("r+b") as file:
            file.write(head)
            file.seek(table_at)
            file.write(table)
            file.truncate()
            checksums = [_checksum(file, number, pages, layout) for number in range(max(pages) + 1)]
            file.flush()
            os.fsync(file.fileno())
        return file_manifest.describe(
            head=head,
            pages=checksums,
            table=table,
            page_bytes=layout.page_bytes,
            settings=layout.settings,
            classes=classes,
            class_images=counts,
            source=file_manifest.source_facts(self.folder, self.sources),
            skipped=[[self.sources[number].name, why] for number, why in sorted(self.refused.items())],
        )


def _checksum(file: BinaryIO, number: int, pages: dict[int, Page], layout: Layout) -> int:
    if number in pages:
        return pages[number].checksum
    # An earlier try wrote it, and the images that it held are gone.
    file.seek(layout.pages_at + number * layout.page_bytes)
    return zlib.crc32(file.read(layout.page_bytes))


def write(request: dict[str, Any]) -> None:
    """Write FFCV files, one an image folder; see `resnet_exp.data.ffcv_files`.

    Raises:
        RequestError: nothing was begun, since the images or the disk are of no use.
        RunFailed: an image cannot be converted, or the disk is full.
    """
    # Workers are forked: one that inherits OpenCV's threads waits for them for ever. Each has one core to itself.
    cv2.setNumThreads(0)
    settings = Settings(**request["settings"])
    conversions = [Conversion.begin(*map(Path, paths), settings=settings) for paths in request["files"]]
    prediction.check_space(conversions, request["workers"], request["cache_dir"])
    for conversion in conversions:
        try:
            conversion.run(request["workers"], request["most_skipped"], request["patience_seconds"])
        except OSError as error:
            if error.errno not in DISK_ERRORS:
                raise RunFailed(f"{conversion.journal.unfinished} cannot be written ({error.strerror})") from error
            raise RunFailed(
                f"data.cache_dir={request['cache_dir']} is full; free some space, then the same command goes on"
            ) from error


def main() -> int:
    """Carry out the request of the command line; returns the exit code."""
    try:
        write(json.loads(sys.argv[1]))
    except (RequestError, RunFailed) as error:
        os.write(2, f"\n{REASON}{error}\n".encode(errors="backslashreplace"))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
