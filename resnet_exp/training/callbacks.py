"""Composer callbacks: the original's learning rate, loss checks, and the same evaluation on all ranks."""

from __future__ import annotations

import math
from typing import Any

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist, reproducibility

from resnet_exp.core.errors import RunFailed
from resnet_exp.loggers.recorder import BatchRow


class OnTimeLearningRate(Callback):
    """Give each batch the learning rate of its own timestamp.

    Composer 0.32.1 steps the schedule before it advances the timestamp, so batches 0 and 1 both get the first value;
    0.7.1 did it after. The trainer has Composer step it at the end of epochs only.
    """

    def batch_start(self, state: State, logger: Logger) -> None:
        """Evaluate the schedule at the current timestamp, which also makes it independent of resumption."""
        for scheduler in state.schedulers:
            for group, base, factor in zip(
                scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = base * factor(0)
            scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def check_loss(batch: BatchRow, logger: Logger) -> None:
    """Fail on a NaN or infinite loss, on all ranks at the same batch; Composer would continue.

    Raises:
        RunFailed: the mean over all ranks is not finite.
    """
    if not math.isfinite(batch.loss):
        raise RunFailed(
            f"loss is {batch.loss} at epoch {batch.epoch}, batch {batch.batch} "
            f"(learning rate {batch.lr:g}); lower optimizer.lr or check the images"
        )


class SameBuffers(Callback):
    """Evaluate with rank 0's BatchNorm statistics on every rank.

    Each rank updates its own statistics while training. Checkpoints and ``weights.pt`` have those of rank 0: an
    evaluation with others would not match any saved weights, and would change on resumption.
    """

    def eval_start(self, state: State, logger: Logger) -> None:
        """Copy rank 0's statistics; callbacks run after algorithms, so EMA's averages are already in place."""
        for buffer in state.model.buffers():
            dist.broadcast(buffer, src=0)


class RestoreRng(Callback):
    """Restore the random state of a checkpoint before the first batch is made.

    Composer restores it after ``fit_start``, or while it replays the epoch's past batches, which our loaders skip.
    """

    def __init__(self) -> None:
        self.pending: list[dict[str, Any]] | None = None

    def fit_start(self, state: State, logger: Logger) -> None:
        """Restore it."""
        if self.pending is not None:
            reproducibility.load_rng_state(self.pending)
            self.pending = None
