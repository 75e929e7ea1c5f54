"""Limits on waiting for a batch: a loader that delivers nothing keeps neither a run nor its signals forever."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from composer.utils import dist

from resnet_exp.core.errors import RunFailed

# Longer than any batch takes, and shorter than the 30 minutes after which the other ranks give up.
LIMIT_SECONDS = 900.0
# A batch that comes soon after a request to stop is trained on.
STOP_SECONDS = 10.0
# Longer than a checkpoint takes.
SAVE_SECONDS = 120.0
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class _Wait:
    """A wait for a batch of a split; `between_batches` if a checkpoint of this moment is one between two batches."""

    split: str
    between_batches: bool
    since: float


class BatchWait:
    """Watch each wait for a batch of training or evaluation."""

    def __init__(self) -> None:
        # The other ranks of a run wait in a collective operation: without them nothing can be saved.
        self._alone = dist.get_world_size() == 1
        self._wait: _Wait | None = None
        self._asked: float | None = None
        self._leaving = False

    @contextmanager
    def of_batch(self, train: bool, first: bool = False) -> Iterator[None]:
        """Watch the block, which makes a batch of a split; the first one is made before training begins."""
        between_batches = train and not first and self._alone
        self._wait = _Wait("train" if train else "val", between_batches, time.monotonic())
        try:
            yield
        finally:
            self._wait = None

    def ask_to_stop(self) -> bool:
        """Note a request to stop; called in the main thread by the handler of a signal.

        Returns:
            Whether it was asked before and no batch has come since: a checkpoint of this moment is to be saved now.
        """
        again, self._asked = self._asked is not None, self._asked or time.monotonic()
        leave = again and self._wait is not None and self._wait.between_batches and not self._leaving
        self._leaving = self._leaving or leave
        return leave

    def watch(self, fail: Callable[[RunFailed], None]) -> None:
        """Watch in a thread of its own.

        Args:
            fail: called with the error when the limit is over; it ends this process.
        """
        threading.Thread(target=self._watch, args=(fail,), name="batch_wait", daemon=True).start()

    def _watch(self, fail: Callable[[RunFailed], None]) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            wait, asked, now = self._wait, self._asked, time.monotonic()
            if wait is None:
                continue
            if now - wait.since > LIMIT_SECONDS:
                fail(_no_batch(wait.split))
            if asked is not None and now - max(asked, wait.since) > STOP_SECONDS:
                self._leave(wait)

    def _leave(self, wait: _Wait) -> None:
        """End the process: by the main thread, which saves a checkpoint, or without one if that cannot be."""
        if wait.between_batches:
            if not self._leaving:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(SAVE_SECONDS)
        if self._wait is wait:
            os._exit(128 + signal.SIGTERM)


def _no_batch(split: str) -> RunFailed:
    return RunFailed(
        f"the loader of {split} delivered no batch within {LIMIT_SECONDS:.0f} s; the log shows where its threads and "
        "workers stand; rerun the same command to continue from the last checkpoint"
    )
