"""A callback that gives a run of a sweep one of the ends that runs have on clusters."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from support.stopping import is_asked_to_stop

GIB = 2**30


class Misbehave(Callback):
    """In batch 2 (the third) raise, die or take memory; or take `seconds` for every batch.

    From batch 5 on it waits until there is a file `gate`, or until it is told to stop: whatever shall happen to the run
    has happened then.
    """

    def __init__(self, how: str = "fine", seconds: float = 0, rank: int = 0, gate: str | None = None) -> None:
        self.how, self.seconds, self.rank, self.gate = how, seconds, rank, gate

    def batch_end(self, state: State, logger: Logger) -> None:
        """Do it; the clock counts finished batches by now."""
        time.sleep(self.seconds)
        while (
            self.gate
            and state.timestamp.batch.value >= 6
            and not Path(self.gate).exists()
            and not is_asked_to_stop(state)
        ):
            time.sleep(0.1)
        if state.timestamp.batch.value != 3 or dist.get_global_rank() != self.rank:
            return
        if self.how == "raise":
            raise ValueError("raised as told")
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "memory":
            taken = bytearray(16 * GIB)
            taken[::4096] = bytes(len(taken[::4096]))
