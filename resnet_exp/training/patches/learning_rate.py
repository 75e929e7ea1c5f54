"""The learning rate of each batch, as the original system gave it."""

from __future__ import annotations

from composer.core import Callback, State
from composer.loggers import Logger


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
