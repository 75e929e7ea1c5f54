"""A run's progress in a file, for the table of a sweep and for ``resnet_exp status``."""

from __future__ import annotations

import time

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.core.machine import slurm
from resnet_exp.loggers.recorder import Recorder, batches_of
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Progress, write_progress

EVERY_SECONDS = 5.0


class ProgressFile(Callback):
    """Write ``progress.json``: position, last top-1, seconds left at the mean speed of this attempt.

    A callback of Composer 0.32.1.
    """

    def __init__(self, run: RunFolder, recorder: Recorder) -> None:
        self.run, self.recorder = run, recorder
        self._written = 0.0
        self._first: tuple[float, int] | None = None

    def batch_end(self, state: State, logger: Logger) -> None:
        """Write, unless it was written very recently."""
        now = time.monotonic()
        if self._first is None:
            # The first batch waits for one-time work, so it is not timed.
            self._first = now, state.timestamp.batch.value
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            self._write(state, now)

    def eval_end(self, state: State, logger: Logger) -> None:
        """Write the new top-1."""
        self._write(state, time.monotonic())

    def _write(self, state: State, now: float) -> None:
        if dist.get_global_rank() != 0:
            return
        assert state.max_duration is not None
        unit = state.max_duration.unit
        evaluations = self.recorder.evaluations
        progress = Progress(
            done=state.timestamp.get(unit).value,
            total=state.max_duration.value,
            unit="epochs" if unit.value == "ep" else "batches",
            top1=evaluations[-1].top1 if evaluations else None,
            eta_seconds=self._left(state, now),
            time=time.time(),
            attempt=slurm.attempt(),
        )
        write_progress(self.run, progress)

    def _left(self, state: State, now: float) -> float | None:
        done = state.timestamp.batch.value
        if self._first is None or done <= self._first[1]:
            return None
        return (now - self._first[0]) / (done - self._first[1]) * max(0, batches_of(state) - done)
