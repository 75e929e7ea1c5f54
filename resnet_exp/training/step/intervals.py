"""Composer's intervals of checkpoints and evaluations, without reckoning in each batch where they are of epochs."""

from __future__ import annotations

from collections.abc import Callable

from composer.core import Event, State, Time, TimeUnit
from composer.utils import create_interval_scheduler

Due = Callable[[State, Event], bool]


def checkpoint(interval: str) -> Due:
    """Whether a checkpoint is due, for ``save_interval``; `interval` is Composer's text, such as ``1ep``."""
    return _of(interval, create_interval_scheduler(interval))


def evaluation(interval: str) -> Due:
    """Whether an evaluation is due, for ``eval_interval``; `interval` is Composer's text, such as ``1ep``."""
    return _of(interval, create_interval_scheduler(interval, checkpoint_events=False, final_events={Event.FIT_END}))


def _of(interval: str, due: Due) -> Due:
    of_epochs = Time.from_timestring(interval).unit == TimeUnit.EPOCH

    def is_due(state: State, event: Event) -> bool:
        # In a run of whole epochs nothing of epochs is due at a batch, not even the end.
        whole = of_epochs and state.max_duration is not None and state.max_duration.unit is TimeUnit.EPOCH
        if whole and event in (Event.BATCH_END, Event.BATCH_CHECKPOINT):
            return False
        return due(state, event)

    return is_due
