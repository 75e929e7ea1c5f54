"""Composer callbacks: the original's learning rate, what a run records, and how it stops."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from composer.core import Callback, State, Time
from composer.loggers import Logger
from composer.utils import dist, reproducibility

from resnet_exp.core.errors import RunFailed
from resnet_exp.runs import folder


def current_lr(state: State) -> float:
    """Learning rate of the first parameter group."""
    return float(state.optimizers[0].param_groups[0]["lr"])


def top1_top5_loss(state: State) -> dict[str, float]:
    """Metrics of the last evaluation: fractions ``top1``, ``top5``, and ``loss``."""
    return {name: float(metric.compute()) for name, metric in state.eval_metrics["eval"].items()}


def finished(state: State) -> bool:
    """Whether training is at its end: a checkpoint of that moment needs no more than the evaluation."""
    assert isinstance(state.max_duration, Time)
    return state.timestamp.get(state.max_duration.unit) >= state.max_duration


class OnTimeLearningRate(Callback):
    """Give each batch the learning rate of its own time.

    Composer 0.32.1 steps the schedule before it advances the clock, so that batches 0 and 1 both get the first value;
    0.7.1 did it after.
    """

    def batch_start(self, state: State, logger: Logger) -> None:
        """Evaluate the schedule at the present timestamp, which also makes it independent of resumption."""
        for scheduler in state.schedulers:
            for group, base, factor in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * factor(0)


class FiniteLoss(Callback):
    """Fail on a loss that is no number, on all ranks at the same batch; Composer trains on."""

    def batch_end(self, state: State, logger: Logger) -> None:
        """Check the loss that Composer has fetched for its own log: the mean over all ranks."""
        loss = sum(state.total_loss_dict.values()) if isinstance(state.total_loss_dict, dict) else 0.0
        if not math.isfinite(loss):
            now = state.timestamp
            raise RunFailed(
                f"loss is {loss} at epoch {now.epoch.value}, batch {now.batch.value - 1} "
                f"(learning rate {current_lr(state):g}); lower optimizer.lr or check the images"
            )


class SameBuffers(Callback):
    """Evaluate with rank 0's BatchNorm statistics on every rank.

    Each rank updates its own between two forward passes of training. Those of rank 0 are in checkpoints and in
    ``weights.pt``: an evaluation with others would be that of no weights that exist, and change on resumption.
    """

    def eval_start(self, state: State, logger: Logger) -> None:
        """Take over rank 0's; callbacks run after algorithms, so EMA's averages are in place."""
        for buffer in state.model.buffers():
            dist.broadcast(buffer, src=0)


class StopRequested(Exception):
    """The user or the cluster asked the run to stop; the state is that between two batches."""


class StopOnRequest(Callback):
    """Stop between two batches once `requested` is set; all ranks stop at the same batch."""

    def __init__(self) -> None:
        self.requested = False

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """Raise `StopRequested` after Composer's own saving."""
        flag = state.device.tensor_to_device(torch.tensor(int(self.requested)))
        dist.all_reduce(flag, reduce_operation="MAX")
        if flag.item():
            raise StopRequested


class RestoreRng(Callback):
    """Restore the random state of a checkpoint taken between two batches of an epoch.

    Composer does so only while it replays the epoch's past batches, which our loaders skip.
    """

    def __init__(self) -> None:
        self.pending: list[dict[str, Any]] | None = None

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Restore once, before the first batch."""
        if self.pending is not None:
            reproducibility.load_rng_state(self.pending)
            self.pending = None


class Recorder(Callback):
    """Write ``metrics.jsonl`` (one line an evaluation), ``trace.jsonl`` if asked, and keep the clocks.

    Clocks and evaluations are part of the checkpoint, so that a resumed run reports the whole of its time, and each
    evaluation once.
    """

    def __init__(self, run: folder.RunDir, trace: bool) -> None:
        """`trace` adds a line a batch: epoch, batch, height, width, lr, loss."""
        self.run, self.trace = run, trace
        self.eval_seconds = self.data_wait_seconds = 0.0
        self.resumed = 0
        self.evaluations: list[dict[str, Any]] = []
        self._since = 0.0
        self._row: dict[str, Any] = {}

    @property
    def last(self) -> dict[str, Any]:
        """The last evaluation."""
        return self.evaluations[-1]

    def state_dict(self) -> dict[str, Any]:
        """Clocks, in seconds, and evaluations to checkpoint."""
        clocks = {"eval": self.eval_seconds, "wait": self.data_wait_seconds}
        return {**clocks, "resumed": self.resumed, "evaluations": self.evaluations}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Clocks and evaluations of the tries before this one."""
        self.eval_seconds, self.data_wait_seconds = state["eval"], state["wait"]
        self.resumed, self.evaluations = state["resumed"] + 1, state["evaluations"]

    def after_load(self, state: State, logger: Logger) -> None:
        """Forget what was recorded after the checkpoint that the run goes on from."""
        done = state.timestamp.batch.value
        if finished(state):
            # It is evaluated once more; see `resnet_exp.train`.
            self.evaluations = [row for row in self.evaluations if row["batches"] < done]
        if dist.get_global_rank() == 0:
            folder.write_lines(self.run.metrics, self.evaluations)
            folder.keep_lines(self.run.trace, lambda row: row["batch"] < done)

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Start waiting for data."""
        self._since = time.perf_counter()

    def after_dataloader(self, state: State, logger: Logger) -> None:
        """Stop waiting for data."""
        self.data_wait_seconds += time.perf_counter() - self._since

    def batch_start(self, state: State, logger: Logger) -> None:
        """Note what enters the model."""
        if self.trace:
            height, width = state.batch_get_item(0).shape[-2:]
            now = state.timestamp
            self._row = {"epoch": now.epoch.value, "batch": now.batch.value, "height": height, "width": width}

    def batch_end(self, state: State, logger: Logger) -> None:
        """Write the batch's line."""
        if self.trace and dist.get_global_rank() == 0:
            row = {**self._row, "lr": current_lr(state), "loss": sum(state.total_loss_dict.values())}
            folder.append_line(self.run.trace, row)

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
        row = {"epoch": now.epoch.value, "batches": now.batch.value, "train_seconds": now.total_wct.total_seconds()}
        self.evaluations.append({**row, **metrics})
        if dist.get_global_rank() == 0:
            folder.append_line(self.run.metrics, self.last)
