"""The frontier of a sweep on Weights & Biases while it fills, as the sweep's parent sees to it. Imports no client.

The work is that of another process (`resnet_exp.tracking.sweep_frontier`): importing W&B's client and drawing take
seconds, and nothing that they do, or wait for, may hold up or end the sweep. It is told through a pipe that there is
more to log, and ends when the pipe does, so also when the parent is killed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resnet_exp.config.values import WANDB
from resnet_exp.core import console
from resnet_exp.core.errors import EXIT_DONE
from resnet_exp.loggers.wandb_background import PATIENCE_SECONDS
from resnet_exp.runs import sweep_manifest

if TYPE_CHECKING:
    from resnet_exp.sweep.planned import Sweep

# Drawing takes a second or two, and each time more is stored: many short runs end between two of them.
INTERVAL_SECONDS = 30.0
# For imports and the last picture.
GRACE_SECONDS = 20.0
# What W&B's client and Python print.
LOG = "log.txt"


class SweepTracker:
    """Has the frontier of one sweep logged as its runs end; does nothing where no run of it logs to W&B."""

    def __init__(self, sweep: Sweep, interval: float) -> None:
        """`interval`: seconds between two pictures, at least; the last one comes in any case."""
        self._sweep, self._interval = sweep, interval
        self._settings = _settings(sweep)
        self._process: subprocess.Popen[str] | None = None
        self._done, self._due, self._lost = 0, False, False
        self._told = -interval

    def saw(self, done: int) -> None:
        """Note how many runs of the sweep are done now."""
        if done != self._done:
            self._done, self._due = done, True
        if self._due and time.monotonic() - self._told >= self._interval:
            self._tell()

    def close(self) -> None:
        """Have the last state logged, and wait for that as long as the logger of the runs may at their end."""
        if self._due:
            self._tell()
        if self._settings is None or (self._process is None and not self._lost):
            return
        said, code = ([], None) if self._process is None else self._end(self._process, self._settings["finish_seconds"])
        for line in said:
            console.say(f"frontier of {self._sweep.name}: {line}")
        if code != EXIT_DONE:
            console.say(
                f"note: W&B has not got the last frontier of {self._sweep.name} ({self._folder / LOG}); "
                "the same command again logs it"
            )

    @staticmethod
    def _end(process: subprocess.Popen[str], patience: float) -> tuple[list[str], int]:
        """What it has to say, and its exit code."""
        try:
            said, _ = process.communicate(timeout=patience + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
        finally:
            process.kill()
            code = process.wait()
        return said.splitlines(), code

    @property
    def _folder(self) -> Path:
        return folder_of(self._sweep.runs_dir, self._sweep.name)

    def _tell(self) -> None:
        self._due, self._told = False, time.monotonic()
        if self._lost or self._settings is None:
            return
        try:
            self._process = self._process or self._start()
            assert self._process.stdin is not None
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except OSError:
            # It ended, or could not be started: what it was is said at the end.
            self._lost = True

    def _start(self) -> subprocess.Popen[str]:
        words = [str(self._sweep.runs_dir), self._sweep.name, json.dumps(self._settings)]
        self._folder.mkdir(exist_ok=True)
        with (self._folder / LOG).open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "resnet_exp.tracking.sweep_frontier", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C comes through the pipe.
                start_new_session=True,
            )


def folder_of(runs_dir: Path, name: str) -> Path:
    """Where the process of the sweep `name` keeps its files: W&B's ``wandb``, and `LOG`."""
    return sweep_manifest.path_of(runs_dir, name).with_suffix(".wandb")


@contextlib.contextmanager
def tracked(sweep: Sweep, interval: float = INTERVAL_SECONDS) -> Iterator[SweepTracker]:
    """A `SweepTracker` that is closed however the sweep ends."""
    tracker = SweepTracker(sweep, interval)
    try:
        yield tracker
    finally:
        tracker.close()


def _settings(sweep: Sweep) -> dict[str, Any] | None:
    """Those of the first run that logs to W&B, as far as they count here too."""
    for run in sweep.runs:
        for entry in run.config.loggers.values():
            if entry.get("_target_") == WANDB:
                waits = {key: entry.get(key, PATIENCE_SECONDS) for key in ("init_seconds", "finish_seconds")}
                return {"project": entry.get("project"), "entity": entry.get("entity"), **waits}
    return None
