"""Watch the runs of a sweep until the last one has ended. It only reads, so it can be stopped at any time."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from rich.console import Console
from rich.live import Live

from resnet_exp.core.machine import slurm
from resnet_exp.core.machine.slurm import QueuedJob
from resnet_exp.core.terminal import console
from resnet_exp.runs import status_table
from resnet_exp.runs.states import UNREADABLE, RunState, Scheduler

POLL_SECONDS = 1.0
# SLURM's controller serves many users; more frequent queries add little.
QUEUE_SECONDS = 5.0
OVER = ("done", "failed", "stopped", "missing", UNREADABLE)
# A job that changes its queue state can briefly vanish: a run must look ended for a while.
SETTLE_SECONDS = 15.0


class Watched(Protocol):
    """Runs that can be watched, such as a `resnet_exp.sweep.planned.Sweep`."""

    def states(self, scheduler: Scheduler) -> list[RunState]:
        """State of each run."""
        ...


class Remembered:
    """Cached answers of SLURM; keeps the last answer if there is no new one."""

    def __init__(self) -> None:
        self._queue: dict[str, QueuedJob] | None = None
        self._endings: dict[str, str] = {}
        self._queue_asked = self._endings_asked = -math.inf

    def in_queue(self) -> dict[str, QueuedJob] | None:
        """As `slurm.in_queue`."""
        if time.monotonic() - self._queue_asked > QUEUE_SECONDS:
            answer = slurm.in_queue()
            self._queue = self._queue if answer is None else answer
            self._queue_asked = time.monotonic()
        return self._queue

    def endings(self, jobs: list[str]) -> dict[str, str]:
        """As `slurm.endings`."""
        if time.monotonic() - self._endings_asked > QUEUE_SECONDS and not self._settled(jobs):
            self._endings = slurm.endings(jobs)
            self._endings_asked = time.monotonic()
        return self._endings

    def _settled(self, jobs: list[str]) -> bool:
        known = [self._endings.get(job, "").partition(" ")[0] for job in jobs]
        return all(ending in slurm.ENDED for ending in known)


def watch_sweep(
    sweep: Watched,
    settle: float = SETTLE_SECONDS,
    alive: Callable[[], bool] | None = None,
    saw_done: Callable[[int], None] = lambda done: None,
) -> list[RunState]:
    """Show the runs until all have ended, and return their last states.

    Args:
        sweep: whose runs to watch.
        settle: seconds for which all must look ended.
        alive: whether the runs are still being processed; if given, used instead of `settle`.
        saw_done: called at each poll with the number of runs that are done.
    """
    scheduler = Remembered()
    over_since: float | None = None
    with _display() as show:
        while True:
            found = sweep.states(scheduler)
            show(found)
            saw_done(_done(found))
            going = alive() if alive else not all(state.kind in OVER for state in found)
            if not going and all(state.kind == "done" for state in found):
                return found
            now = time.monotonic()
            over_since = None if going else (over_since or now)
            if over_since is not None and now - over_since >= settle:
                found = sweep.states(scheduler)
                saw_done(_done(found))
                return found
            time.sleep(POLL_SECONDS)


def _done(found: list[RunState]) -> int:
    return sum(state.kind == "done" for state in found)


@contextlib.contextmanager
def _display() -> Iterator[Callable[[list[RunState]], None]]:
    terminal = Console(file=sys.stdout, highlight=False)
    if not terminal.is_terminal:
        yield _Lines()
        return
    with Live(console=terminal, auto_refresh=False, transient=True) as live:

        def show(found: list[RunState]) -> None:
            live.update(status_table.table(found, max(3, terminal.height - 4)), refresh=True)

        yield show


class _Lines:
    """Output without a terminal: one line per change of a run's state."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def __call__(self, found: list[RunState]) -> None:
        for state in found:
            if self._last.get(state.run_id) != state.kind:
                self._last[state.run_id] = state.kind
                console.say(status_table.line(state))
