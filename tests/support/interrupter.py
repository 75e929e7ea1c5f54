"""A callback for the tests of resumption: ends the run, or its launcher, at one exact moment."""

from __future__ import annotations

import os
import signal
import time

from composer.core import Callback, State
from composer.loggers import Logger


class Interrupter(Callback):
    """``INTERRUPT=6:SIGINT:launcher``: after batch 6; ``end:SIGKILL:rank``: after the last checkpoint."""

    def batch_end(self, state: State, logger: Logger) -> None:
        self._act(str(state.timestamp.batch.value))

    def fit_end(self, state: State, logger: Logger) -> None:
        self._act("end")

    def _act(self, moment: str) -> None:
        when, name, whom = os.environ.get("INTERRUPT", "never::").split(":")
        if when == moment:
            os.kill(os.getppid() if whom == "launcher" else os.getpid(), signal.Signals[name])
            time.sleep(1)  # until it has come back from the launcher
