"""Checkpoints that are written while training goes on: the state is copied at once, a thread writes the copy.

``torch.distributed.checkpoint.async_save`` does so for folders of its own format, which Composer loads with FSDP alone;
its copies lose the memory format. These are Composer's files, one each.
"""

from __future__ import annotations

import copy
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from composer.callbacks import CheckpointSaver
from composer.core import State
from composer.loggers import Logger
from composer.utils import dist, reproducibility
from torch import Tensor

from resnet_exp.runs import checkpoints
from resnet_exp.runs.folder import RunFolder


class BackgroundSaver(CheckpointSaver):
    """Composer 0.32.1's saver of checkpoints, with the newest one written in a thread; one at a time.

    A process that is killed while one is written leaves the one before: ``latest`` names only what is whole.
    """

    def __init__(self, run: RunFolder, interval: str) -> None:
        """`interval`: epochs (``1ep``) or batches (``100ba``)."""
        super().__init__(
            folder=str(run.checkpoints),
            latest_filename=run.latest_checkpoint.name,
            remote_file_name=None,
            latest_remote_file_name=None,
            save_interval=interval,
            overwrite=True,
            num_checkpoints_to_keep=1,
        )
        self._run = run
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def finish(self) -> None:
        """Wait until the checkpoint that is being written is whole; raises what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def batch_end(self, state: State, logger: Logger) -> None:
        """Fail soon after a checkpoint has failed."""
        if self._writing is not None and self._writing.done():
            self.finish()

    def fit_end(self, state: State, logger: Logger) -> None:
        """Wait for the last one."""
        self.finish()

    def _save_checkpoint(self, state: State, logger: Logger) -> None:
        self.finish()
        self.last_checkpoint_batch = state.timestamp.batch
        # Every rank makes them: random states are gathered.
        values = {"state": state.state_dict(), "rng": reproducibility.get_rng_state()}
        if dist.get_global_rank() == 0:
            name = Path(self.filename.format(state)).name
            self._writing = self._writer.submit(self._write, name, on_host(values), _end_of_copies(state))

    def _write(self, name: str, values: dict[str, Any], copied: torch.cuda.Event | None) -> None:
        if copied is not None:
            copied.synchronize()
        with (self._run.checkpoints / name).open("wb") as file:
            torch.save(values, file)
        checkpoints.point_to(self._run, name)
        checkpoints.remove_stale(self._run)


def _end_of_copies(state: State) -> torch.cuda.Event | None:
    """What a thread waits for before it reads copies of what is on a GPU."""
    if state.device.name != "gpu":
        return None
    event = torch.cuda.Event()
    event.record()
    return event


def on_host(value: Any) -> Any:
    """A copy that does not change when training goes on; its tensors are on the host, once the GPU has copied them.

    Args:
        value: a state, of tensors in nested dictionaries, lists and tuples.
    """
    if isinstance(value, Tensor):
        # From a GPU to pinned memory, behind the kernels that are queued and ahead of those of the next batch.
        return torch.empty_like(value, device="cpu", pin_memory=value.is_cuda).copy_(value, non_blocking=True)
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own type, with its own attributes
        copied.update((key, on_host(each)) for key, each in value.items())
        return copied
    if type(value) in (list, tuple):
        return type(value)(map(on_host, value))
    return copy.deepcopy(value)
