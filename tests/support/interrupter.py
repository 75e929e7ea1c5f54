"""A callback for the tests of resumption: ends the run, or its launcher, at one exact moment."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from composer.core import Callback, State
from composer.loggers import Logger

from support.stopping import await_stop


class Interrupter(Callback):
    """``INTERRUPT=6:SIGINT:launcher``: after batch 6; ``end:SIGKILL:rank``: after the last checkpoint.

    ``machine`` is both, once the mirror has the checkpoint of ``INTERRUPT_MIRRORED``, such as ``s3://bucket/x:-ba8-``.
    """

    def batch_end(self, state: State, logger: Logger) -> None:
        self._act(str(state.timestamp.batch.value), state)

    def fit_end(self, state: State, logger: Logger) -> None:
        self._act("end", state)

    def _act(self, moment: str, state: State) -> None:
        when, name, whom = os.environ.get("INTERRUPT", "never::").split(":")
        if when == moment and whom == "machine":
            self._await_mirror(*os.environ["INTERRUPT_MIRRORED"].rsplit(":", 1))
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        elif when == moment:
            os.kill(os.getppid() if whom == "launcher" else os.getpid(), signal.Signals[name])
            await_stop(state)

    def _await_mirror(self, url: str, checkpoint: str) -> None:
        from s3fs import S3FileSystem

        system, end = S3FileSystem(), time.monotonic() + 60
        while not any(checkpoint in str(system.cat_file(path)) for path in self._claims(system, url)):
            assert time.monotonic() < end
            time.sleep(0.2)

    def _claims(self, system: Any, url: str) -> list[str]:
        system.invalidate_cache()
        return list(system.glob(f"{url}/*/claim-*.json"))


class BucketGone(Callback):
    """Removes the bucket of the mirror, with all that it has, before the last evaluation of a run."""

    def fit_end(self, state: State, logger: Logger) -> None:
        from s3fs import S3FileSystem

        end = time.monotonic() + 60
        while True:
            try:
                S3FileSystem(skip_instance_cache=True).rm("shards", recursive=True)
            except OSError:  # the mirror has put something into it meanwhile
                assert time.monotonic() < end
            else:
                return
