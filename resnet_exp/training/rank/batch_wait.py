"""Limits on waiting for a batch: a loader that delivers nothing keeps neither a run nor its signals forever."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from composer.core import Callback, State
from composer.loggers import Logger
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


class BatchWait(Callback):
    """Watch each wait for a batch of training or evaluation."""

    def __init__(self) -> None:
        self._wait: _Wait | None = None
        self._asked: float | None = None
        self._leaving = False

    @contextmanager
    def of_first_batch(self) -> Iterator[None]:
        """Watch the block, which makes the first batch."""
        self._begin("train", between_batches=False)
        try:
            yield
        finally:
            self._wait = None

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Start waiting."""
        self._begin("train", between_batches=True)

    def after_dataloader(self, state: State, logger: Logger) -> None:
        """Stop waiting."""
        self._wait = None

    def epoch_end(self, state: State, logger: Logger) -> None:
        """Stop waiting: the last answer of a loader is that there is no more."""
        self._wait = None

    def eval_start(self, state: State, logger: Logger) -> None:
        """Start waiting."""
        self._begin("val", between_batches=False)

    def eval_batch_start(self, state: State, logger: Logger) -> None:
        """Stop waiting."""
        self._wait = None

    def eval_batch_end(self, state: State, logger: Logger) -> None:
        """Start waiting."""
        self._begin("val", between_batches=False)

    def eval_end(self, state: State, logger: Logger) -> None:
        """Stop waiting."""
        self._wait = None

    def _begin(self, split: str, between_batches: bool) -> None:
        # The other ranks of a run wait in a collective operation: without them nothing can be saved.
        self._wait = _Wait(split, between_batches and dist.get_world_size() == 1, time.monotonic())

    def ask_to_stop(self) -> bool:
        """Note a request to stop; called in the main thread by the handler of a signal.

        Returns:
            Whether it was asked before and no batch has come since: a checkpoint of this moment is to be saved now.
        """
        again, self._asked = self._asked is not None, self._asked or time.monotonic()
        leave = again and self._wait is not None and self._wait.between_batches and not self._leaving
        self._leaving = self._leaving or leave
        return leave

    def watch(self, fail: Callable[[RunFailed, bool], None]) -> None:
        """Watch in a thread of its own.

        Args:
            fail: called when the limit is over, with the error and whether this rank only waits for another one; it
                ends this process.
        """
        threading.Thread(target=self._watch, args=(fail,), name="batch_wait", daemon=True).start()

    def _watch(self, fail: Callable[[RunFailed, bool], None]) -> None:
        while True:
            time.sleep(POLL_SECONDS)
            wait, asked, now = self._wait, self._asked, time.monotonic()
            if wait is None:
                continue
            if now - wait.since > LIMIT_SECONDS:
                fail(_no_batch(wait.split), _waits_for_others())
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


def _waits_for_others() -> bool:
    """Whether the main thread has its batch and waits for those of other ranks."""
    main = threading.main_thread().ident
    stack = traceback.extract_stack(sys._current_frames()[main]) if main is not None else []
    return any(frame.name == "all_reduce" for frame in stack)
