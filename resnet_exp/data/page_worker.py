"""A worker of a conversion: encodes the images that it is given, and writes each page of the file when it is full.

It talks to the conversion over one pipe. In: a list of jobs, the number of the page that it asked for, None at the end.
Out: a `Page`, a `Refused`, `WANTS_PAGE`, the number of images of a list that is done, or at last `Broken`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import warnings
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from mmap import mmap
from multiprocessing.connection import Connection

from resnet_exp.data.encode import Encoded, Settings, encode
from resnet_exp.data.ffcv_layout import page_bytes
from resnet_exp.errors import RunFailed
from resnet_exp.processes import die_with_parent

WANTS_PAGE = "page?"
CURRENT = struct.Struct("<q")
NOTHING = -1


@dataclass(frozen=True)
class Job:
    """An image to convert: its number in the split, and its name below the split's folder."""

    number: int
    name: str


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


@dataclass(frozen=True)
class Refused:
    """An image that cannot be converted, and the line that says why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Broken:
    """Why no page can be written; `number` is that of the system's error."""

    number: int
    reason: str


@dataclass
class Worker:
    """One worker process; `current` is memory of all of them, in which slot `slot` has the image at hand."""

    connection: Connection
    current: mmap
    slot: int
    file: str
    folder: str
    pages_at: int
    settings: Settings
    waiting: deque[list[Job] | None] = field(default_factory=deque)
    rows: list[Row] = field(default_factory=list)
    used: int = 0
    checksum: int = 0

    def run(self) -> None:
        """Work until there is no more."""
        die_with_parent(signal.SIGKILL)
        warnings.simplefilter("ignore")
        try:
            # While one page is filled the other is written.
            with PageFile(self.file) as file, ThreadPoolExecutor(1) as writer:
                self._file, self._writer = file, writer
                self._work()
        except OSError as error:
            self.connection.send(Broken(error.errno or 0, error.strerror or str(error)))
        self.connection.close()

    def _work(self) -> None:
        size = page_bytes(self.settings.max_resolution)
        self._page, self._other = mmap(-1, size), mmap(-1, size)
        self._written: Future[Page] | None = None
        while (jobs := self._next_jobs()) is not None:
            for job in jobs:
                self._convert(job)
            self._note(NOTHING)
            self.connection.send(len(jobs))
        self._flush()
        self._report()

    def _note(self, number: int) -> None:
        CURRENT.pack_into(self.current, self.slot * CURRENT.size, number)

    def _next_jobs(self) -> list[Job] | None:
        return self.waiting.popleft() if self.waiting else self.connection.recv()

    def _convert(self, job: Job) -> None:
        self._note(job.number)
        try:
            encoded = encode(os.path.join(self.folder, job.name), job.name, self.settings)
        except RunFailed as error:
            self.connection.send(Refused(job.number, str(error)))
            return
        if self.used + encoded.content.size > len(self._page):
            self._flush()
        self._put(job.number, encoded)

    def _put(self, number: int, encoded: Encoded) -> None:
        size = encoded.content.size
        self._page[self.used : self.used + size] = encoded.content.data
        # Now, while its bytes are in the processor's cache.
        self.checksum = zlib.crc32(encoded.content.data, self.checksum)
        self.rows.append(Row(number, encoded.mode, encoded.width, encoded.height, self.used, size))
        self.used += size

    def _flush(self) -> None:
        """Begin to write the page at hand, after the one before it."""
        if not self.rows:
            return
        self._report()
        # What an earlier page left behind would make files differ, and compress badly.
        rest = bytes(len(self._page) - self.used)
        self._page[self.used :] = rest
        page = Page(self._page_number(), zlib.crc32(rest, self.checksum), self.rows)
        self._written = self._writer.submit(self._write, self._page, page)
        self._page, self._other = self._other, self._page
        self.rows, self.used, self.checksum = [], 0, 0

    def _page_number(self) -> int:
        self.connection.send(WANTS_PAGE)
        while not isinstance(answer := self.connection.recv(), int):
            self.waiting.append(answer)
        return answer

    def _write(self, content: mmap, page: Page) -> Page:
        self._file.write(content, self.pages_at + page.number * len(content))
        return page

    def _report(self) -> None:
        """Wait for the page that is being written, if one is, and tell of it."""
        if self._written is not None:
            self.connection.send(self._written.result())
            self._written = None


class PageFile:
    """A file that takes whole pages, past the system's cache where it lets itself be passed.

    Through the cache, a page costs up to a third of what its images cost to encode.
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

    def write(self, page: mmap, at: int) -> None:
        """Write a page at a multiple of its size."""
        rest = memoryview(page)
        while rest:
            try:
                written = os.pwrite(self._descriptor, rest, at)
            except OSError as error:
                # The disk's blocks do not fit what is left, or the file system takes the flag and not the write.
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
