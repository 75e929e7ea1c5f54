"""The conversion of one split to an FFCV file: pages that workers write, a journal of them, a table at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO, ClassVar

from isal.isal_zlib import crc32

from resnet_exp.core.records import from_json
from resnet_exp.core.terminal import console
from resnet_exp.data.conversion import manifest as manifests
from resnet_exp.data.conversion.base import Conversion
from resnet_exp.data.conversion.encode import SOURCE, Settings
from resnet_exp.data.conversion.manifest import Content
from resnet_exp.data.conversion.worker import Job
from resnet_exp.data.conversion.worker_pool import pool_size
from resnet_exp.data.ffcv import manifest as ffcv_manifest
from resnet_exp.data.ffcv.journal import Journal, Layout
from resnet_exp.data.ffcv.layout import PLACE, Placed, file_head, page_bytes, page_of, pages_at, sample_table
from resnet_exp.data.ffcv.page_worker import Page, PageWorker
from resnet_exp.data.images import image_tree

# Images of a task: enough that the pipe costs nothing, few enough that all workers end at the same time.
IMAGES_A_LIST = 16
# A page holds the largest file so many times: what cannot stay as it is may grow.
ROOM_FOR_FILES = 2


@dataclass
class FFCVConversion(Conversion):
    """One split on its way into one file."""

    title: ClassVar[str] = ffcv_manifest.FFCVManifest.title
    journal: Journal

    @staticmethod
    def begin(folder: Path, target: Path, unfinished: Path, content: Mapping[str, object]) -> FFCVConversion:
        """List the images, and check what an earlier try left; `content` are the settings to write with."""
        found = list(image_tree.files(folder))
        settings = from_json(Settings, content)
        # No image is in two pages.
        if settings.write_mode == SOURCE:
            page = page_of(ROOM_FOR_FILES * max((file.size for file in found), default=0))
            settings = replace(settings, most_bytes=page)
        else:
            page = page_bytes(settings.max_resolution)
            settings = replace(settings, most_pixels=page // 3)  # three bytes a pixel in the worst case
        journal = Journal(unfinished, found, content, page)
        journal.check(lambda done, of: console.status(f"{target.name}: checking what there is, {done} of {of} pages"))
        return FFCVConversion(folder, target, unfinished, settings, found, journal=journal)

    @property
    def images_there(self) -> int:
        """Images in good pages."""
        return len(self.journal.images)

    def open(self) -> None:
        """Begin the journal."""
        self.journal.open()

    def close(self) -> None:
        """End the journal."""
        self.journal.close()

    def tasks(self) -> Sequence[list[Job]]:
        """Lists of jobs."""
        missing = sorted(set(range(len(self.sources))) - self.journal.images)
        starts = range(0, len(missing), IMAGES_A_LIST)
        return [[self.job(number) for number in missing[start : start + IMAGES_A_LIST]] for start in starts]

    def worker(self, connection: Connection, current: mmap, slot: int) -> PageWorker:
        """A worker that writes pages."""
        layout, file = self.journal.layout, str(self.unfinished)
        folder = str(self.folder)
        return PageWorker(connection, current, slot, folder, self.settings, file, layout.pages_at, layout.page_bytes)

    def add(self, part: Page) -> None:
        """Note a page."""
        self.journal.add(part)

    def page_numbers(self) -> Iterator[int]:
        """Numbers of pages that hold nothing yet."""
        return self.journal.free_numbers()

    def finish(self) -> None:
        """Write header, table and manifest, and give the file its name."""
        placed = self._placed()
        content = self.content(self.journal.layout.settings, [image.label for image in placed])
        manifests.write_manifest(self.target, self._write_ends(placed, content))
        os.replace(self.unfinished, self.target)
        self.journal.path.unlink()

    def bytes_for(self, mean: float, workers: int) -> int:
        """Bytes of the file."""
        images, page = len(self.sources), self.journal.layout.page_bytes
        # The next image does not fit into the end of a page: half an image is lost there, on average.
        pages = -(-int(mean * images) // max(1, int(page - mean / 2)))
        # And each worker leaves half a page empty at the end.
        pages += pool_size(workers, -(-images // IMAGES_A_LIST)) // 2
        return pages_at(images, page) + pages * page + images * PLACE.size

    @property
    def bytes_there(self) -> int:
        """Bytes of the unfinished file."""
        return self.journal.bytes_on_disk

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

    def _write_ends(self, placed: list[Placed], content: Content) -> ffcv_manifest.FFCVManifest:
        """Write what is before and after the pages; returns the manifest of the file."""
        layout, pages = self.journal.layout, self.journal.pages
        table_at = layout.pages_at + (max(pages) + 1) * layout.page_bytes
        head = file_head(placed, layout.page_bytes, table_at).ljust(layout.pages_at, b"\0")
        table = sample_table(placed)
        with self.unfinished.open("r+b") as file:
            file.write(head)
            file.seek(table_at)
            file.write(table)
            file.truncate()
            checksums = [_checksum(file, number, pages, layout) for number in range(max(pages) + 1)]
            file.flush()
            os.fsync(file.fileno())
        return ffcv_manifest.describe(head, checksums, table, layout.page_bytes, content)


def _checksum(file: BinaryIO, number: int, pages: dict[int, Page], layout: Layout) -> int:
    if number in pages:
        return pages[number].checksum
    # An earlier try wrote the page, and its images have been removed since.
    file.seek(layout.pages_at + number * layout.page_bytes)
    return crc32(file.read(layout.page_bytes))
