"""What a run records: evaluations, times, a trace."""

from __future__ import annotations

import math
import time
from collections.abc import Sized
from dataclasses import asdict, dataclass
from typing import Any

from composer.core import Callback, State, Time
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.core import files
from resnet_exp.core.errors import RunFailed
from resnet_exp.runs import folder
from resnet_exp.runs.result import EvaluationRow

# Keys of a line of ``trace.jsonl``.
TRACED = ("epoch", "batch", "height", "width", "lr", "loss")


def current_lr(state: State) -> float:
    """Learning rate of the first parameter group."""
    return float(state.optimizers[0].param_groups[0]["lr"])


def top1_top5_loss(state: State) -> dict[str, float]:
    """Metrics of the last evaluation: fractions ``top1``, ``top5``, and ``loss``."""
    return {name: float(metric.compute()) for name, metric in state.eval_metrics["eval"].items()}


def finished(state: State) -> bool:
    """Whether training is complete: a checkpoint of this state only needs its evaluation."""
    assert isinstance(state.max_duration, Time)
    return state.timestamp.get(state.max_duration.unit) >= state.max_duration


@dataclass(frozen=True)
class BatchRow:
    """A batch of training that is done, over all ranks; counts begin at 0."""

    epoch: int
    batch: int
    height: int  # of the images that entered the model, in pixels
    width: int
    lr: float
    images: int
    seconds: float | None  # since the end of the batch before; None for the first one of an attempt
    waited: float = 0.0  # for data, in seconds
    loss: float = math.nan
    is_last: bool = True  # of those that became known together


class Recorder(Callback):
    """Write ``metrics.jsonl`` (one line per evaluation), ``trace.jsonl`` if requested, and measure times.

    A callback of Composer 0.32.1. Times and evaluations are part of the checkpoint, so that a resumed run reports its
    total time, and each evaluation once.
    """

    def __init__(self, run: folder.RunFolder, trace: bool) -> None:
        """`trace` adds one line per batch: epoch, batch, height, width, lr, loss."""
        self.run, self.trace = run, trace
        self.eval_seconds = self.data_wait_seconds = 0.0
        self.resumed = 0
        self.evaluations: list[EvaluationRow] = []
        self.waited = 0.0
        self._since = 0.0

    @property
    def last(self) -> EvaluationRow:
        """The last evaluation."""
        return self.evaluations[-1]

    def state_dict(self) -> dict[str, Any]:
        """Times in seconds and evaluations, for the checkpoint."""
        clocks = {"eval": self.eval_seconds, "wait": self.data_wait_seconds}
        return {**clocks, "resumed": self.resumed, "evaluations": list(map(asdict, self.evaluations))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore times and evaluations of earlier attempts."""
        self.eval_seconds, self.data_wait_seconds = state["eval"], state["wait"]
        self.resumed, self.evaluations = state["resumed"] + 1, [EvaluationRow(**row) for row in state["evaluations"]]

    def after_load(self, state: State, logger: Logger) -> None:
        """Drop what was recorded after the checkpoint that the run resumes from."""
        done = state.timestamp.batch.value
        if finished(state):
            # A finished run is evaluated once more; see `resnet_exp.training.worker`.
            self.evaluations = [row for row in self.evaluations if row.batches < done]
        if dist.get_global_rank() == 0:
            files.write_lines(self.run.metrics, map(asdict, self.evaluations))
            files.keep_lines(self.run.trace, lambda row: row["batch"] < done)

    def add_wait(self, seconds: float) -> None:
        """Count what the loader took to deliver a batch."""
        self.waited = seconds
        self.data_wait_seconds += seconds

    def trace_batch(self, row: BatchRow, logger: Logger) -> None:
        """Write the batch's line."""
        if self.trace and dist.get_global_rank() == 0:
            files.append_line(self.run.trace, {name: getattr(row, name) for name in TRACED})

    def eval_start(self, state: State, logger: Logger) -> None:
        """Start the evaluation's clock."""
        self._since = time.perf_counter()

    def eval_end(self, state: State, logger: Logger) -> None:
        """Write the evaluation's line."""
        self.eval_seconds += time.perf_counter() - self._since
        metrics = top1_top5_loss(state)
        if not math.isfinite(metrics["top1"]) or not math.isfinite(metrics["loss"]):
            raise RunFailed(f"evaluation gave top1={metrics['top1']}, loss={metrics['loss']}: no usable weights")
        now = state.timestamp
        seconds = now.total_wct.total_seconds()
        self.evaluations.append(EvaluationRow(now.epoch.value, now.batch.value, seconds, **metrics))
        if dist.get_global_rank() == 0:
            files.append_line(self.run.metrics, asdict(self.last))


def batches_of(state: State) -> int:
    """Number of batches of the whole run, also during an evaluation, which has a loader of its own."""
    assert state.max_duration is not None and isinstance(state.train_dataloader, Sized)
    length = state.max_duration.value
    return int(length * len(state.train_dataloader)) if state.max_duration.unit.value == "ep" else int(length)
