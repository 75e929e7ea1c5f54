"""The run folder, which all parts of the program share.

``config.yaml`` (the configuration), ``environment.json`` (code and machine), ``dataset.json`` (classes and images),
``rank*.log``, ``metrics.jsonl`` (one line per evaluation), ``trace.jsonl`` (one line per batch, if requested),
``progress.json`` (updated every few seconds), ``checkpoints/``, ``weights.pt``, ``node*.json`` (how the ranks of one of
several nodes ended), ``requeue.json`` (of a job that could not requeue itself), and at the end ``result.json`` or
``failure.json``. JSON files are written atomically.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import OwnedByOther
from resnet_exp.core.locks import open_lock, try_lock

# Set for ranks whose launcher holds the run folder's lock: they must not take it themselves.
OWNED = "RESNET_EXP_OWNED"
FULL = "runs_dir={} is full; free some space, then rerun the same command to continue from the last checkpoint"


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def data_set(self) -> Path:
        return self.path / "dataset.json"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def failure(self) -> Path:
        return self.path / "failure.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def trace(self) -> Path:
        return self.path / "trace.jsonl"

    @property
    def weights(self) -> Path:
        return self.path / "weights.pt"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def latest_checkpoint(self) -> Path:
        return self.checkpoints / "latest-rank0.pt"

    @property
    def progress(self) -> Path:
        return self.path / "progress.json"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def launcher_log(self) -> Path:
        """Output of a run's launcher when it has no terminal."""
        return self.path / "launcher.log"

    def rank_log(self, rank: int) -> Path:
        """Log of everything that a rank and its libraries print."""
        return self.path / f"rank{rank}.log"

    def node_report(self, node: int) -> Path:
        """Report of the launcher on one of several nodes about its ranks."""
        return self.path / f"node{node}.json"

    @property
    def requeue(self) -> Path:
        """The start of a SLURM job that asks its batch script for another, since its container has no scontrol."""
        return self.path / "requeue.json"


# Folders to look into for runs, and to name.
MOST_LOOKED, SHOWN = 1000, 3
# Why a folder or file is left out, after its path.
CANNOT_BE_READ = "cannot be read ({}); give the right to, or remove it"


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder: it has a configuration or a result.

    Raises:
        OSError: that cannot be seen, for lack of a permission or since it is a link to itself.
    """
    run = RunFolder(folder)
    return _is_there(run.config) or _is_there(run.result)


def _is_there(path: Path) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def list_runs(runs_dir: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the run folders in a folder, and of folders that may be some, with the reason why that cannot be seen.

    Raises:
        OSError: `runs_dir` cannot be read.
    """
    names: list[str] = []
    unreadable: dict[str, str] = {}
    with os.scandir(runs_dir) as entries:
        for entry in entries:
            try:
                if not entry.name.startswith(".") and entry.is_dir() and is_run(Path(entry.path)):
                    names.append(entry.name)
            except OSError as error:
                unreadable[entry.name] = error.strerror or str(error)
    return names, unreadable


def where_runs_are(folder: Path) -> str | None:
    """Which folders to give instead of one that holds no runs, as a note; None if there are none nearby."""
    if is_run(folder):
        return f"{folder} is a run; {shlex.quote(str(folder.parent))} is its folder of runs"
    found: list[Path] = []
    waiting, looked = deque([folder]), 0
    while waiting and looked < MOST_LOOKED:
        looked += 1
        with contextlib.suppress(OSError):
            one = waiting.popleft()
            if list_runs(one)[0]:
                found.append(one)
            else:
                waiting += sorted(path for path in one.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        return None
    listed = " ".join(shlex.quote(str(one)) for one in found[:SHOWN])
    return f"{folder} has no runs itself, give the folders below it that have: {listed}{' ...' * (len(found) > SHOWN)}"


def acquire(run: RunFolder) -> int:
    """Lock a run folder until the returned file descriptor, and every copy a child inherited, is closed.

    Raises:
        OwnedByOther: another process owns it.
    """
    descriptor = open_lock(run.lock)
    try:
        locked = try_lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    if not locked:
        owner = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise OwnedByOther(f"{run.path} is already running (by {owner or 'another process'}); wait for it or stop it")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return descriptor
