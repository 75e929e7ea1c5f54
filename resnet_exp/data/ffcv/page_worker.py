"""A worker of a conversion to an FFCV file: writes a page of the file as soon as it is full.

In addition to the messages of every worker (`resnet_exp.data.conversion.worker`), it sends `WANTS_PAGE` and receives
the number of a free page.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from isal.isal_zlib import crc32

from resnet_exp.data.conversion.encode import Encoded
from resnet_exp.data.conversion.worker import NOTHING, TASK_DONE, WANTS_PAGE, ImageWorker
from resnet_exp.data.ffcv.layout import JPEG, RAW


@dataclass(frozen=True)
class Row:
    """An image in a page: `offset` and `size` in bytes."""

    number: int
    mode: int
    width: int
    height: int
    offset: int
    size: int


@dataclass(frozen=True)
class Page:
    """A page that is in the file, and the CRC-32 of all its bytes."""

    number: int
    checksum: int
    rows: list[Row]


@dataclass
class PageWorker(ImageWorker):
    """Writes pages of `page_bytes` to `file`, the first of which begins at `pages_at`; a task is a list of jobs."""

    file: str
    pages_at: int
    page_bytes: int
    rows: list[Row] = field(default_factory=list)
    used: int = 0
    checksum: int = 0

    def work(self) -> None:
        """Do all lists of jobs."""
        # One page is written while the other one is filled.
        with PageFile(self.file) as file, ThreadPoolExecutor(1) as writer:
            self._file, self._writer = file, writer
            self._work()

    def _work(self) -> None:
        self._page, self._other = _memory(self.page_bytes), _memory(self.page_bytes)
        self._written: Future[Page] | None = None
        while (jobs := self.next_task()) is not None:
            for job in jobs:
                if (encoded := self.encoded(job)) is not None:
                    self._put(job.number, encoded)
            self.note(NOTHING)
            self.connection.send(len(jobs))
            self.connection.send(TASK_DONE)
        self._flush()
        self._report()

    def _put(self, number: int, encoded: Encoded) -> None:
        size = encoded.content.size
        if self.used + size > len(self._page):
            self._flush()
        self._page[self.used : self.used + size] = encoded.content.data
        # Here, because the bytes are still in the processor's cache.
        self.checksum = crc32(encoded.content.data, self.checksum)
        self.rows.append(Row(number, JPEG if encoded.is_jpeg else RAW, encoded.width, encoded.height, self.used, size))
        self.used += size

    def _flush(self) -> None:
        """Begin to write the current page, once the one before it has been written."""
        if not self.rows:
            return
        self._report()
        # Remains of an earlier page would make the same conversion give other bytes, and compress badly.
        rest = bytes(len(self._page) - self.used)
        self._page[self.used :] = rest
        page = Page(self._page_number(), crc32(rest, self.checksum), self.rows)
        self._written = self._writer.submit(self._write, self._page, page)
        self._page, self._other = self._other, self._page
        self.rows, self.used, self.checksum = [], 0, 0

    def _page_number(self) -> int:
        self.connection.send(WANTS_PAGE)
        while not isinstance(answer := self.connection.recv(), int):
            self.waiting.append(answer)
        return answer

    def _write(self, content: mmap.mmap, page: Page) -> Page:
        self._file.write(content, self.pages_at + page.number * len(content))
        return page

    def _report(self) -> None:
        """Wait for the page that is being written, if there is one, and report it."""
        if self._written is not None:
            self.connection.send(self._written.result())
            self._written = None


def _memory(size: int) -> mmap.mmap:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    # For a write past the cache the kernel looks up every memory page: with huge pages there are 512 times fewer.
    with contextlib.suppress(OSError):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class PageFile:
    """A file that takes whole pages, written past the system's cache (``O_DIRECT``) if the file system allows it.

    Through the cache, writing a page takes up to a third of the time of encoding its images.
    """

    def __init__(self, path: str) -> None:
        """Open `path`, which exists."""
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._descriptor = os.open(path, os.O_WRONLY)

    def __enter__(self) -> PageFile:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def write(self, page: mmap.mmap, at: int) -> None:
        """Write a page at a multiple of its size."""
        rest = memoryview(page)
        while rest:
            try:
                written = os.pwrite(self._descriptor, rest, at)
            except OSError as error:
                # The rest is not whole blocks of the disk, or the file system accepts the flag and not the write.
                if error.errno != errno.EINVAL or not self._uncached():
                    raise
                self._use_cache()
                continue
            rest, at = rest[written:], at + written

    def _uncached(self) -> bool:
        return bool(fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & os.O_DIRECT)

    def _use_cache(self) -> None:
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
