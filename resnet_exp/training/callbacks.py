"""Callbacks of Composer 0.32.1: loss checks, and the same evaluation on all ranks."""

from __future__ import annotations

import math

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.core.errors import RunFailed
from resnet_exp.loggers.recorder import BatchRow


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
