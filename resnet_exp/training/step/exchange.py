"""What the ranks of a run tell each other beside gradients: their losses, and whether to stop; every few batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from composer.callbacks import CheckpointSaver
from composer.core import Callback, Event, State
from composer.loggers import Logger
from composer.utils import dist
from torch import Tensor

from resnet_exp.core.errors import StopRequested
from resnet_exp.loggers.recorder import BatchRow, Recorder, current_lr, finished

# Batches between two exchanges: this many, or fewer where they take longer than this together.
MOST_BATCHES, MOST_SECONDS = 8, 0.5
TOTAL_LOSS = "loss/train/total"


class Exchange(Callback):
    """Average the losses of the ranks and agree to stop: every few batches, and before checkpoints and evaluations.

    A callback of Composer 0.32.1, whose trainer reduces the loss in each batch. Each is a collective operation and a
    wait for the device, so doing both in each batch would cost more than it tells. A rank that trains alone on the CPU
    has nothing to wait for, and exchanges in each batch.
    """

    def __init__(self, recorder: Recorder, readers: Sequence[Callable[[BatchRow, Logger], None]]) -> None:
        """`recorder` has the waits; `readers` get each batch in turn, on each rank, once its loss is known."""
        self.requested = False
        self._recorder = recorder
        self._readers = readers
        self._ranks = dist.get_world_size()
        self._rows: list[BatchRow] = []
        self._losses: list[Tensor] = []
        self._size = (0, 0)
        self._interval = 1
        self._ended: float | None = None
        self._since = time.perf_counter()
        self._stop = False

    def add_loss(self, loss: Tensor) -> None:
        """Take this rank's loss of a batch, one element on the device, averaged over its images."""
        self._losses.append(loss.detach().view(1))

    def batch_start(self, state: State, logger: Logger) -> None:
        """Note the size of the images that enter the model."""
        height, width = state.batch_get_item(0).shape[-2:]
        self._size = (height, width)

    def batch_end(self, state: State, logger: Logger) -> None:
        """Note the batch, and exchange if it is time."""
        now, done = time.perf_counter(), state.previous_timestamp
        assert done is not None
        row = BatchRow(
            epoch=done.epoch.value,
            batch=done.batch.value,
            height=self._size[0],
            width=self._size[1],
            lr=current_lr(state),
            images=len(state.batch_get_item(1)) * self._ranks,
            seconds=None if self._ended is None else now - self._ended,
            waited=self._recorder.waited,
        )
        self._rows.append(row)
        self._ended = now
        if len(self._rows) >= self._interval or _is_last(state) or _saves_now(state):
            self.exchange(state, logger)

    def batch_checkpoint(self, state: State, logger: Logger) -> None:
        """Raise `StopRequested` where all ranks agree; Composer's own checkpoint of this batch, if due, comes after."""
        alone = self.requested and self._ranks == 1
        if alone:
            self.exchange(state, logger)
        if alone or self._stop:
            raise StopRequested

    def eval_before_all(self, state: State, logger: Logger) -> None:
        """Exchange before an evaluation, whose row comes after those of its batches."""
        self.exchange(state, logger)

    def eval_after_all(self, state: State, logger: Logger) -> None:
        """The time of an evaluation is not that of a batch."""
        self._ended = self._since = time.perf_counter()

    def exchange(self, state: State, logger: Logger) -> None:
        """Average what is pending over all ranks, and pass it on."""
        if not self._rows:
            return
        seconds = (time.perf_counter() - self._since) / len(self._rows)
        own = torch.tensor([float(self.requested), seconds], dtype=torch.float32)
        shared = torch.cat([*self._losses, state.device.tensor_to_device(own)])
        if self._ranks > 1:
            dist.all_reduce(shared)
        *losses, stop, seconds = (value / self._ranks for value in shared.tolist())
        rows, self._rows, self._losses = self._rows, [], []
        self._stop, self._since = stop > 0, time.perf_counter()
        alone_on_cpu = self._ranks == 1 and state.device.name == "cpu"
        self._interval = 1 if alone_on_cpu else min(MOST_BATCHES, max(1, int(MOST_SECONDS / max(1e-9, seconds))))
        state.total_loss_dict = {TOTAL_LOSS: losses[-1]}
        for row, loss in zip(rows, losses, strict=True):
            logger.log_metrics({TOTAL_LOSS: loss}, step=row.batch)
            known = replace(row, loss=loss, is_last=row is rows[-1])
            for read in self._readers:
                read(known, logger)


def _is_last(state: State) -> bool:
    """Whether this batch is the last one before an evaluation of an epoch, or of the run."""
    return finished(state) or state.timestamp.batch_in_epoch.value == state.dataloader_len


def _saves_now(state: State) -> bool:
    savers = (callback for callback in state.callbacks if isinstance(callback, CheckpointSaver))
    return any(saver.save_interval(state, Event.BATCH_CHECKPOINT) for saver in savers)
