"""The real command line in a subprocess."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

# The smallest run that trains, evaluates and saves: a few seconds on two cores after the imports.
TINY = (
    "hardware=cpu",
    "model=resnet14",
    "train_batch_size=8",
    "eval_batch_size=8",
    "resolution.train=32",
    "resolution.eval_resize=40",
    "resolution.eval_crop=32",
    "data.num_workers=0",
    "optimizer.lr=0.01",
    "ssr=0.0223",
)

Finished = subprocess.CompletedProcess[str]


class RunCli(Protocol):
    """``run_cli("recipe=hot", timeout=60)``: the finished process, its output as text."""

    def __call__(self, *args: str, timeout: float = 300, module: str = "resnet_exp") -> Finished:
        """Run ``python -m module args`` in the test's folder; a hang fails the test."""
        ...


def command(folder: Path, *args: str) -> list[str]:
    """The command line of a run that writes below `folder` only; `args` may set the same keys anew."""
    places = [f"runs_dir={folder / 'runs'}", f"data.cache_dir={folder / 'cache'}"]
    return [sys.executable, "-m", "resnet_exp", *places, *args]


def words_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that has ended, waited for or not."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def left_running(folder: Path) -> list[list[str]]:
    """Command lines of the processes that work in `folder`, or name it."""
    return [words_of(process) for process in psutil.process_iter() if _works_in(process, folder)]


def _works_in(process: psutil.Process, folder: Path) -> bool:
    if str(folder) in " ".join(words_of(process)):
        return True
    with suppress(psutil.Error, OSError):  # it has ended, or is not ours
        return Path(process.cwd()).is_relative_to(folder)
    return False
