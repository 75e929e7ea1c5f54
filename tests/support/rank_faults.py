"""What the tests of several ranks add to a run: a model without BatchNorm, and a fault on one rank at one batch."""

from __future__ import annotations

import atexit
import os
import signal
import time
from typing import Any

from composer.core import Algorithm, Callback, Event, State
from composer.loggers import Logger
from composer.utils import dist, module_surgery
from torch import nn

from resnet_exp.training.step import exchange
from support.stopping import await_stop


def _group_norm(module: nn.Module, index: int) -> nn.Module:
    assert isinstance(module, nn.BatchNorm2d)
    return nn.GroupNorm(8, module.num_features)


class NoBatchNorm(Algorithm):
    """GroupNorm in place of BatchNorm: nothing depends on which images share a device."""

    def match(self, event: Event, state: State) -> bool:
        return event == Event.INIT

    def apply(self, event: Event, state: State, logger: Logger) -> None:
        policies: dict[type[nn.Module], Any] = {nn.BatchNorm2d: _group_norm}
        assert module_surgery.replace_module_classes(state.model, policies, optimizers=state.optimizers)


class Fault(Callback):
    """``FAULT=13:SIGKILL:1``: rank 1 ends itself in batch 13; or raise, stuck, nan, launcher-SIGTERM."""

    def __init__(self, exchange_seconds: float = 0.0) -> None:
        """Ranks exchange in each batch, so that it is known which one ends the run; `exchange_seconds` changes that."""
        when, self.what, rank = os.environ.get("FAULT", "-1::-1").split(":")
        self.when, self.mine = int(when), int(rank) == dist.get_global_rank()
        exchange.MOST_SECONDS = exchange_seconds

    def batch_start(self, state: State, logger: Logger) -> None:
        if not self.mine or state.timestamp.batch.value + 1 != self.when:
            return
        if self.what == "stuck":
            # As NCCL's destructors do while another rank waits.
            atexit.register(time.sleep, 3600)
        if self.what in ("raise", "stuck"):
            raise ValueError(f"this is rank {dist.get_global_rank()}")
        if self.what == "nan":
            state.batch_set_item(0, state.batch_get_item(0) * float("nan"))
        elif self.what.startswith("launcher-"):
            os.kill(os.getppid(), signal.Signals[self.what.removeprefix("launcher-")])
            await_stop(state)
        else:
            os.kill(os.getpid(), signal.Signals[self.what])
