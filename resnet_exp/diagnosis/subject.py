"""What is examined: a run or a sweep, its plan, and the child processes that look at what may hang."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from resnet_exp.config.schema import LauncherConfig, RunConfig, SlurmLauncherConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.files import parse_json
from resnet_exp.core.terminal.text import one_line
from resnet_exp.planning import training_time
from resnet_exp.planning.training_time import History
from resnet_exp.sweep.planned import Sweep


@dataclass(frozen=True)
class Plan:
    """What is expected of a run: its training time, images in each second, and seconds of one step, on average."""

    seconds: float
    images_per_second: float
    step_seconds: float


@dataclass(frozen=True)
class Subject:
    """A run that is to be started here, or the first run of a sweep, with that sweep and its launcher."""

    config: RunConfig
    sweep: Sweep | None = None
    launcher: LauncherConfig | None = None

    @property
    def slurm(self) -> SlurmLauncherConfig | None:
        """The settings of SLURM, if the run is for other machines than this one."""
        return self.launcher if isinstance(self.launcher, SlurmLauncherConfig) else None

    @cached_property
    def plan(self) -> Plan | None:
        """What ``resnet_exp.plan`` expects, its slower end; None if nothing similar is known."""
        history = History(Path(self.config.runs_dir))
        per_epoch = training_time.batches_per_epoch(self.config, training_time.train_images(self.config, history))
        batches = training_time.batches(self.config, per_epoch)
        estimate = training_time.estimate_time(self.config, history)
        if estimate is None or not batches:
            return None
        return Plan(estimate.high, batches * self.config.train_batch_size / estimate.high, estimate.high / batches)


def ask_child(module: str, *words: str, seconds: float, launcher: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The JSON objects that ``python -m MODULE WORDS`` prints, one a line; it is killed after `seconds`.

    What may hang, such as a disk or a library, hangs there.

    Args:
        module: to run.
        words: its arguments.
        seconds: until it must have ended.
        launcher: arguments of the interpreter that start it otherwise, such as those of ``torch.distributed.run``.

    Raises:
        RequestError: it does not end in time, or ends without an answer: its last words.
    """
    line = [sys.executable, *launcher, "-m", module, *words]
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        # Files, not pipes: a process that waits for a disk survives its signal, and would hold a pipe open.
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(1)
            raise RequestError(f"no answer within {seconds:g} s") from None
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        found, said = (_lines(file) for file in (output, errors))
    answers = [parse_json(text) for text in found if text.startswith("{")]
    if not answers:
        raise RequestError(one_line([f"exit code {child.returncode}", *said][-1]))
    return answers


def _lines(file: IO[str]) -> list[str]:
    file.seek(0)
    return [line for line in file.read().splitlines() if line.strip()]
