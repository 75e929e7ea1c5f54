"""A worker process of a conversion, whatever it writes: encodes the images that it is given.

It has one pipe to the conversion. In: tasks, None at the end. Out: what it wrote, a `Refused` for each image that
cannot be converted, a `Noted` for each one that is stored in another way than most, numbers of images done, `TASK_DONE`
after each task, and the `OSError` that ended it, if one did.
"""

from __future__ import annotations

import os
import signal
import struct
import warnings
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from mmap import mmap
from multiprocessing.connection import Connection
from typing import Any

from resnet_exp.core.errors import RunFailed
from resnet_exp.core.machine.processes import die_with_parent, keep_memory
from resnet_exp.data.conversion.encode import Encoded, Settings, Unmarked, encode

CURRENT = struct.Struct("<q")
NOTHING = -1
TASK_DONE = "done"
# Images after which a worker reports its progress.
IMAGES_A_REPORT = 16


@dataclass(frozen=True)
class Job:
    """An image to convert: its number in the split, and its name below the split's folder."""

    number: int
    name: str


@dataclass(frozen=True)
class Refused:
    """An image that cannot be converted, and the line that says why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Noted:
    """An image that was not stored as most are, and how it was."""

    how: Unmarked


@dataclass
class ImageWorker(ABC):
    """One worker process; `current` is shared memory, whose slot `slot` has the number of its current image."""

    connection: Connection
    current: mmap
    slot: int
    folder: str
    settings: Settings
    waiting: deque[Any] = field(default_factory=deque, kw_only=True)

    def run(self, parent: int) -> None:
        """Work until there is no more, or the process `parent` ends."""
        die_with_parent(signal.SIGKILL, parent)
        keep_memory()
        warnings.simplefilter("ignore")
        try:
            self.work()
        except OSError as error:
            self.connection.send(OSError(error.errno or 0, error.strerror or str(error)))
        self.connection.close()

    @abstractmethod
    def work(self) -> None:
        """Do all tasks of `next_task`."""

    def next_task(self) -> Any:
        """The next task; None when there are no more."""
        return self.waiting.popleft() if self.waiting else self.connection.recv()

    def note(self, number: int) -> None:
        """Note the current image, so that the conversion can name it if this process dies."""
        CURRENT.pack_into(self.current, self.slot * CURRENT.size, number)

    def encoded(self, job: Job) -> Encoded | None:
        """An image ready to be written; None if it was refused."""
        self.note(job.number)
        try:
            encoded = encode(os.path.join(self.folder, job.name), job.name, self.settings)
            if encoded.unmarked is not None:
                self.connection.send(Noted(encoded.unmarked))
            return encoded
        except RunFailed as error:
            self.connection.send(Refused(job.number, str(error)))
            return None


WANTS_PAGE = "page?"
