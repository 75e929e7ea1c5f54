"""A worker of a conversion: encodes the images that it is given, and writes each page of the file when it is full.

It talks to the conversion over one pipe. In: a list of jobs, the number of the page that it asked for, None at the end.
Out: a `Page`, a `Refused`, `WANTS_PAGE`, the number of images of a list that is done, or at last `Broken`.
"""

from __future__ import annotations

import os
import signal
import struct
import warnings
import zlib
from collections import deque
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

    def __post_init__(self) -> None:
        self.page = bytearray(page_bytes(self.settings.max_resolution))

    def run(self) -> None:
        """Work until there is no more."""
        die_with_parent(signal.SIGKILL)
        warnings.simplefilter("ignore")
        try:
            with open(self.file, "r+b", buffering=0) as file:
                while (jobs := self._next_jobs()) is not None:
                    self._convert_all(jobs, file.fileno())
                self._flush(file.fileno())
        except OSError as error:
            self.connection.send(Broken(error.errno or 0, error.strerror or str(error)))
        self.connection.close()

    def _convert_all(self, jobs: list[Job], descriptor: int) -> None:
        for job in jobs:
            self._convert(job, descriptor)
        self._note(NOTHING)
        self.connection.send(len(jobs))

    def _note(self, number: int) -> None:
        CURRENT.pack_into(self.current, self.slot * CURRENT.size, number)

    def _next_jobs(self) -> list[Job] | None:
        return self.waiting.popleft() if self.waiting else self.connection.recv()

    def _convert(self, job: Job, descriptor: int) -> None:
        self._note(job.number)
        try:
            encoded = encode(os.path.join(self.folder, job.name), job.name, self.settings)
        except RunFailed as error:
            self.connection.send(Refused(job.number, str(error)))
            return
        if self.used + encoded.content.size > len(self.page):
            self._flush(descriptor)
        self._put(job.number, encoded)

    def _put(self, number: int, encoded: Encoded) -> None:
        size = encoded.content.size
        self.page[self.used : self.used + size] = encoded.content.data
        self.rows.append(Row(number, encoded.mode, encoded.width, encoded.height, self.used, size))
        self.used += size

    def _flush(self, descriptor: int) -> None:
        if not self.rows:
            return
        # What an earlier page left behind would make files differ, and compress badly.
        self.page[self.used :] = bytes(len(self.page) - self.used)
        self.connection.send(WANTS_PAGE)
        while not isinstance(answer := self.connection.recv(), int):
            self.waiting.append(answer)
        _write_all(descriptor, self.page, self.pages_at + answer * len(self.page))
        self.connection.send(Page(answer, zlib.crc32(self.page), self.rows))
        self.rows, self.used = [], 0


def _write_all(descriptor: int, content: bytearray, at: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written
