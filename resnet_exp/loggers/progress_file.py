"""How far a run is, in a file, so that others can tell: the table of a sweep, ``python -m resnet_exp.status``."""

from __future__ import annotations

import contextlib
import json
import time
from typing import Any

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.loggers.recorder import Recorder, batches_of
from resnet_exp.runs.folder import RunFolder

EVERY_SECONDS = 5.0


class ProgressFile(Callback):
    """Write ``progress.json``: position, last top-1, seconds left at the mean pace of this try."""

    def __init__(self, run: RunFolder, recorder: Recorder) -> None:
        self.run, self.recorder = run, recorder
        self._written = 0.0
        self._first: tuple[float, int] | None = None

    def batch_end(self, state: State, logger: Logger) -> None:
        """Write, unless that was done a moment ago."""
        now = time.monotonic()
        if self._first is None:
            # The first batch waits for what is done once: no pace.
            self._first = now, state.timestamp.batch.value
        if now - self._written >= EVERY_SECONDS:
            self._written = now
            self._write(state, now)

    def eval_end(self, state: State, logger: Logger) -> None:
        """Write, since there is a new top-1."""
        self._write(state, time.monotonic())

    def _write(self, state: State, now: float) -> None:
        if dist.get_global_rank() != 0:
            return
        assert state.max_duration is not None
        unit = state.max_duration.unit
        evaluations = self.recorder.evaluations
        record: dict[str, Any] = {
            "done": state.timestamp.get(unit).value,
            "total": state.max_duration.value,
            "unit": "epochs" if unit.value == "ep" else "batches",
            "top1": evaluations[-1]["top1"] if evaluations else None,
            "eta_seconds": self._left(state, now),
            "time": time.time(),
        }
        # Neither the disk's pace nor its being full is a matter of training: no fsync, no complaint.
        temporary = self.run.progress.with_name(".progress.json")
        with contextlib.suppress(OSError):
            temporary.write_text(json.dumps(record))
            temporary.replace(self.run.progress)

    def _left(self, state: State, now: float) -> float | None:
        done = state.timestamp.batch.value
        if self._first is None or done <= self._first[1]:
            return None
        return (now - self._first[0]) / (done - self._first[1]) * max(0, batches_of(state) - done)
