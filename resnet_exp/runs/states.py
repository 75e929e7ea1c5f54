"""The state of each run of a folder, from its files, its lock and the queue.

A run folder's own files take precedence: SLURM forgets jobs, and can call a job COMPLETED that failed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from resnet_exp.core import slurm
from resnet_exp.core.errors import RequestError
from resnet_exp.core.locks import is_locked
from resnet_exp.core.slurm import QueuedJob
from resnet_exp.runs import submission, sweep_manifest
from resnet_exp.runs.failure import read_failure
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Result, read_progress, read_result

# In the order in which a run passes through them.
KINDS = ("planned", "queued", "running", "done", "failed", "stopped", "missing")


@dataclass(frozen=True)
class RunState:
    """One run: its state (one of `KINDS`) and details."""

    run_id: str
    kind: str
    path: Path
    why: str = ""
    epochs: str = ""
    top1: float | None = None
    train_seconds: float | None = None
    eta_seconds: float | None = None
    job: str | None = None


@dataclass(frozen=True)
class _Known:
    """What is known from outside the run folders."""

    jobs: dict[str, str]  # job of each run
    queue: dict[str, QueuedJob] | None
    planned: set[str]  # runs that a live process will start
    listed: list[str]  # runs of some sweep, in its order


class Scheduler(Protocol):
    """Queries to SLURM: `slurm` itself, or a cache of its answers."""

    def in_queue(self) -> dict[str, QueuedJob] | None:
        """As `slurm.in_queue`."""
        ...

    def endings(self, jobs: list[str]) -> dict[str, str]:
        """As `slurm.endings`."""
        ...


def collect_states(
    runs: Path, only: list[str] | None = None, scheduler: Scheduler = slurm, sweep: str | None = None
) -> list[RunState]:
    """State of every run of a folder of runs, whether it has a folder or not.

    Args:
        runs: a folder of run folders.
        only: ids of the runs to look at, in the order of the result.
        scheduler: queried only if a run was submitted.
        sweep: name of the sweep whose runs to look at.

    Raises:
        RequestError: there is no such folder, or no such sweep in it.
    """
    known = _know(runs, scheduler)
    if sweep is not None:
        only = _runs_of(runs, sweep)
    names = only if only is not None else sorted({*known.listed, *_folders(runs)})
    found = [_state(RunFolder(runs / name), known) for name in names]
    lost = [state.job for state in found if state.why == LOST and state.job]
    endings = scheduler.endings(lost) if lost else {}
    return [_explain_loss(state, endings) if state.why == LOST else state for state in found]


LOST = "lost"


def _know(runs: Path, scheduler: Scheduler) -> _Known:
    if not runs.is_dir():
        raise RequestError(f"{runs} is not a folder of runs; give the runs_dir of a sweep")
    records = sweep_manifest.read_manifests(runs)
    jobs = sweep_manifest.jobs(records) | submission.jobs(runs)
    owned = [record for record in records if sweep_manifest.is_sweep_owned(runs, record.sweep)]
    return _Known(
        jobs=jobs,
        queue=scheduler.in_queue() if jobs else {},
        planned={run.run_id for record in owned for run in record.runs},
        listed=[run.run_id for record in records for run in record.runs],
    )


def _runs_of(runs: Path, sweep: str) -> list[str]:
    record = sweep_manifest.read_manifest(runs, sweep)
    if record is None:
        known = ", ".join(sorted(record.sweep for record in sweep_manifest.read_manifests(runs))) or "none"
        raise RequestError(f"--sweep {sweep}: {runs} has no sweep of that name; it has {known}")
    return [run.run_id for run in record.runs]


def _folders(runs: Path) -> list[str]:
    with os.scandir(runs) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return [name for name in names if RunFolder(runs / name).config.exists()]


def _state(run: RunFolder, known: _Known) -> RunState:
    name = run.path.name
    job = known.jobs.get(name)
    try:
        result = read_result(run)
        if result is not None:
            return _done(run, result, job)
        here = (known.queue or {}).get(job or "")
        # Not every file system shares locks between nodes.
        if is_locked(run.lock) or (here is not None and _has_progress(run, here)):
            return _running(run, job)
        if here is not None:
            return RunState(name, "queued", run.path, _waiting(here), job=job)
        if (failure := read_failure(run)) is not None:
            return RunState(name, "failed", run.path, failure.error, _epochs(run), job=job)
        if job and known.queue is None:
            return RunState(name, "queued", run.path, "SLURM does not answer", job=job)
    except RequestError as error:
        return RunState(name, "failed", run.path, str(error), job=job)
    if name in known.planned:
        return RunState(name, "planned", run.path)
    if job and run.path.is_dir():
        return RunState(name, "failed", run.path, LOST, _epochs(run), job=job)
    if run.latest_checkpoint.exists() or (run.path.is_dir() and name not in known.listed):
        return RunState(name, "stopped", run.path, "rerun the same command to continue", _epochs(run), job=job)
    return RunState(name, "missing", run.path, "neither queued nor running; rerun the same command to start it")


def _has_progress(run: RunFolder, job: QueuedJob) -> bool:
    """Whether this start of a running job has made progress: after a requeue, older files are still there."""
    progress = read_progress(run) if job.state == "RUNNING" else None
    return progress is not None and progress.time >= job.began


def _waiting(job: QueuedJob) -> str:
    return "starting" if job.state == "RUNNING" else job.state.lower()


def _done(run: RunFolder, result: Result, job: str | None) -> RunState:
    seconds, epochs = result.timing.train_seconds, str(result.epochs)
    return RunState(run.path.name, "done", run.path, "", epochs, result.top1, seconds, job=job)


def _running(run: RunFolder, job: str | None) -> RunState:
    progress = read_progress(run)
    if progress is None:
        return RunState(run.path.name, "running", run.path, "starting", job=job)
    eta, age = progress.eta_seconds, time.time() - progress.time
    return RunState(
        run.path.name,
        "running",
        run.path,
        epochs=_epochs(run),
        top1=progress.top1,
        eta_seconds=None if eta is None else max(0.0, eta - age),
        job=job,
    )


def _epochs(run: RunFolder) -> str:
    progress = read_progress(run)
    return f"{progress.done}/{progress.total} {progress.unit}" if progress is not None else ""


def _explain_loss(state: RunState, endings: dict[str, str]) -> RunState:
    ending = endings.get(state.job or "", "")
    if ending and ending.split()[0] not in slurm.ENDED:
        return replace(state, kind="queued", why=ending.lower())  # in transition between two queue states
    canceled = ending.startswith("CANCELLED")
    what = "was canceled" if canceled else "ended without an explanation" + (f" (SLURM: {ending})" if ending else "")
    kind = "stopped" if canceled else "failed"
    return replace(state, kind=kind, why=f"job {state.job} {what}; rerun the same command to continue")
