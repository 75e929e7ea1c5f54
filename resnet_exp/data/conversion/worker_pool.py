"""The workers of a conversion, as the process sees them that hands out tasks and collects results."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from mmap import mmap
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from resnet_exp.core.machine.processes import how_it_ended
from resnet_exp.data.conversion.worker import CURRENT, NOTHING, TASK_DONE, WANTS_PAGE, ImageWorker

# Tasks that each worker holds: while one is done, the next one is there already.
AHEAD = 2
FORK = multiprocessing.get_context("fork")
Make = Callable[[Connection, mmap, int], ImageWorker]


def pool_size(workers: int, tasks: int) -> int:
    """How many of `workers` have something to do."""
    return max(1, min(workers, tasks))


class WorkerLost(RuntimeError):
    """A worker died, or sent nothing for too long.

    `how` says it for people; `number` is that of the image that it worked on, None between images.
    """

    def __init__(self, how: str, number: int | None) -> None:
        super().__init__(f"{how} at image {number}")
        self.how, self.number = how, number


@dataclass
class _Member:
    process: BaseProcess
    connection: Connection
    finished: bool = False


class WorkerPool:
    """Worker processes, which are killed when the block ends, whatever happens in it."""

    def __init__(self, size: int, make: Make) -> None:
        """`make` takes a worker's end of its pipe, the memory for the current images, and its slot in it."""
        self._current = mmap(-1, size * CURRENT.size)
        self._members: list[_Member] = []
        # A garbage collection in a worker would write to, and so copy, the memory that it shares with this process.
        gc.freeze()
        for slot in range(size):
            CURRENT.pack_into(self._current, slot * CURRENT.size, NOTHING)
            ours, theirs = FORK.Pipe()
            process = FORK.Process(target=_run, args=(os.getpid(), make, theirs, self._current, slot), daemon=True)
            process.start()
            theirs.close()
            self._members.append(_Member(process, ours))

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.process.kill()
            member.process.join()
            member.connection.close()
        self._current.close()
        gc.unfreeze()

    def work(self, tasks: Iterable[object], page_numbers: Iterator[int], patience: float) -> Iterator[Any]:
        """Have all tasks done; yields what workers report (`resnet_exp.data.conversion.worker`).

        Raises:
            WorkerLost: one died, or none sent anything for `patience` seconds.
        """
        rest = iter(tasks)
        for _ in range(AHEAD):
            for member in self._members:
                self._give(member, rest)
        open_members = {member.connection: member for member in self._members}
        while open_members:
            heard = wait(list(open_members), timeout=patience)
            if not heard:
                held = (self._image_of(member) for member in open_members.values())
                stuck = next((number for number in held if number is not None), None)
                raise WorkerLost(f"said nothing for {patience:g} s", stuck)
            for ready in heard:
                assert isinstance(ready, Connection)
                member = open_members[ready]
                try:
                    event = ready.recv()
                except (EOFError, ConnectionResetError):
                    self._ended(member)
                    del open_members[ready]
                    continue
                if event == WANTS_PAGE:
                    ready.send(next(page_numbers))
                    continue
                if event == TASK_DONE:
                    self._give(member, rest)
                    continue
                yield event

    def _give(self, member: _Member, rest: Iterator[object]) -> None:
        if member.finished:
            return
        task = next(rest, None)
        member.finished = task is None
        try:
            member.connection.send(task)
        except OSError:
            self._ended(member)

    def _ended(self, member: _Member) -> None:
        member.process.join()
        if member.process.exitcode:
            raise WorkerLost(f"was ended by {how_it_ended(member.process.exitcode)}", self._image_of(member))

    def _image_of(self, member: _Member) -> int | None:
        (number,) = CURRENT.unpack_from(self._current, self._members.index(member) * CURRENT.size)
        return None if number == NOTHING else number


def _run(parent: int, make: Make, theirs: Connection, current: mmap, slot: int) -> None:
    make(theirs, current, slot).run(parent)
