"""Composer callbacks: the original's learning rate, what a run records, and how it stops."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist, reproducibility

from resnet_exp import rundir
from resnet_exp.errors import RunFailed


def current_lr(state: State) -> float:
    """Learning rate of the first parameter group."""
    return float(state.optimizers[0].param_groups[0]["lr"])


def top1_top5_loss(state: State) -> dict[str, float]:
    """Metrics of the last evaluation: fractions ``top1``, ``top5``, and ``loss``."""
    return {name: float(metric.compute()) for name, metric in state.eval_metrics["eval"].items()}


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
    """Fail on a loss that is no number; Composer trains on."""

    def batch_end(self, state: State, logger: Logger) -> None:
        """Check the loss that Composer has fetched from the device for its own log."""
        loss = sum(state.total_loss_dict.values()) if isinstance(state.total_loss_dict, dict) else 0.0
        if not math.isfinite(loss):
            now = state.timestamp
            raise RunFailed(
                f"loss is {loss} at epoch {now.epoch.value}, batch {now.batch.value - 1} "
                f"(optimizer.lr={current_lr(state):g}); lower optimizer.lr or check the images"
            )


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

    The clocks are part of the checkpoint, so that a resumed run reports the whole of its time.
    """

    def __init__(self, run: rundir.RunDir, trace: bool) -> None:
        """`trace` adds a line a batch: epoch, batch, height, width, lr, loss."""
        self.run, self.trace = run, trace
        self.eval_seconds = self.data_wait_seconds = 0.0
        self.resumed = 0
        self.last: dict[str, float] = {}
        self._since = 0.0
        self._row: dict[str, Any] = {}

    def state_dict(self) -> dict[str, Any]:
        """Clocks to checkpoint, in seconds."""
        return {"eval": self.eval_seconds, "wait": self.data_wait_seconds, "resumed": self.resumed, "last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Clocks of the tries before this one."""
        self.eval_seconds, self.data_wait_seconds = state["eval"], state["wait"]
        self.resumed, self.last = state["resumed"] + 1, state["last"]

    def fit_start(self, state: State, logger: Logger) -> None:
        """Forget what was recorded after the checkpoint that the run goes on from."""
        if dist.get_global_rank() == 0:
            done = state.timestamp.batch.value
            rundir.keep_lines(self.run.metrics, lambda row: row["batches"] <= done)
            rundir.keep_lines(self.run.trace, lambda row: row["batch"] < done)

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
            rundir.append_line(self.run.trace, row)

    def eval_start(self, state: State, logger: Logger) -> None:
        """Start the evaluation's clock."""
        self._since = time.perf_counter()

    def eval_end(self, state: State, logger: Logger) -> None:
        """Write the evaluation's line."""
        self.eval_seconds += time.perf_counter() - self._since
        self.last = top1_top5_loss(state)
        if not math.isfinite(self.last["top1"]) or not math.isfinite(self.last["loss"]):
            raise RunFailed(f"evaluation gave top1={self.last['top1']}, loss={self.last['loss']}: no usable weights")
        if dist.get_global_rank() == 0:
            now = state.timestamp
            epoch = now.epoch.value
            row = {"epoch": epoch, "batches": now.batch.value, "train_seconds": now.total_wct.total_seconds()}
            rundir.append_line(self.run.metrics, {**row, **self.last})
