"""The state of each run of a folder, from its files, its lock and the queue.

A run folder's own files take precedence: SLURM forgets jobs, and can call a job COMPLETED that failed.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from resnet_exp.core.errors import RequestError
from resnet_exp.core.locks import is_locked
from resnet_exp.core.machine import slurm
from resnet_exp.core.machine.slurm import QueuedJob
from resnet_exp.runs import submission, sweep_manifest
from resnet_exp.runs.failure import read_failure
from resnet_exp.runs.folder import CANNOT_BE_READ, RunFolder, list_runs
from resnet_exp.runs.result import Result, read_progress, read_result
from resnet_exp.runs.submission import Submission
from resnet_exp.runs.sweep_manifest import SweepManifest

# In the order in which a run passes through them.
UNREADABLE = "unreadable"
KINDS = ("planned", "queued", "running", "done", "failed", "stopped", "missing", UNREADABLE)


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


class Scheduler(Protocol):
    """Queries to SLURM: `slurm` itself, or a cache of its answers."""

    def in_queue(self) -> dict[str, QueuedJob] | None:
        """As `slurm.in_queue`."""
        ...

    def endings(self, jobs: list[str]) -> dict[str, str]:
        """As `slurm.endings`."""
        ...


@dataclass(frozen=True)
class _Known:
    """What is known from outside the run folders."""

    runs: Path  # the folder of runs
    scheduler: Scheduler
    manifests: list[SweepManifest]
    submission: Submission | None  # in progress
    unusable: list[RunState]  # files of sweeps that cannot be used

    @cached_property
    def planned(self) -> set[str]:
        """Runs that a live process will start."""
        owned = [record for record in self.manifests if sweep_manifest.is_sweep_owned(self.runs, record.sweep)]
        return {run.run_id for record in owned for run in record.runs}

    @cached_property
    def listed(self) -> set[str]:
        """Runs of some sweep."""
        return {run.run_id for record in self.manifests for run in record.runs}

    @cached_property
    def listed_jobs(self) -> dict[str, str]:
        """The job of each run that was submitted."""
        return sweep_manifest.jobs(self.manifests)

    @cached_property
    def queue(self) -> dict[str, QueuedJob] | None:
        """What waits or runs. SLURM's controller may take long to answer: it is asked once, if a run needs that."""
        return self.scheduler.in_queue()

    @cached_property
    def jobs(self) -> dict[str, str]:
        """`listed_jobs`, and those of the submission in progress."""
        if self.submission is None or self.queue is None:
            return self.listed_jobs
        return self.listed_jobs | (submission.queued_jobs(self.runs, self.submission) or {})

    def queued(self, run_id: str) -> QueuedJob | None:
        """The run's job, if it waits or runs."""
        job = self.jobs.get(run_id)
        return (self.queue or {}).get(job) if job else None


def collect_states(
    runs: Path, only: list[str] | None = None, scheduler: Scheduler = slurm, sweep: str | None = None
) -> list[RunState]:
    """State of every run of a folder of runs, whether it has a folder or not.

    Args:
        runs: a folder of run folders.
        only: ids of the runs to look at, in the order of the result.
        scheduler: queried only if a run may be in its queue.
        sweep: name of the sweep whose runs to look at.

    Returns:
        The states; without `only` and `sweep` also those of folders and files that cannot be read, as `UNREADABLE`.

    Raises:
        RequestError: there is no such folder, or no such sweep in it.
    """
    known = _know(runs, scheduler)
    if sweep is not None:
        only = _runs_of(runs, sweep)
    try:
        names, unreadable = ([], {}) if only is not None else list_runs(runs)
    except OSError as error:
        raise RequestError(f"{runs} cannot be read ({error.strerror}); give a folder of runs that can") from error
    names = only if only is not None else sorted(known.listed.union(names).difference(unreadable))
    found = [_state(RunFolder(runs / name), known) for name in names]
    lost = [state.job for state in found if state.why == LOST and state.job]
    endings = scheduler.endings(lost) if lost else {}
    found = [_explain_loss(state, endings) if state.why == LOST else state for state in found]
    if only is None:
        found += [_unreadable(runs / name, why) for name, why in sorted(unreadable.items())]
        found += known.unusable
    return found


LOST = "lost"
NO_ANSWER = "SLURM does not answer"
UNKNOWN = f"{NO_ANSWER}: it is not known whether"


def _unreadable(path: Path, why: str) -> RunState:
    return RunState(path.name, UNREADABLE, path, f"{path} {CANNOT_BE_READ.format(why)}")


def _know(runs: Path, scheduler: Scheduler) -> _Known:
    if not os.path.isdir(runs):
        raise RequestError(f"{runs} is not a folder of runs; give the runs_dir of a sweep")
    damaged: dict[Path, str] = {}
    manifests = sweep_manifest.read_manifests(runs, damaged)
    submitted = None
    try:
        submitted = submission.read_submission(runs)
    except RequestError as error:
        damaged[submission.submission_path(runs)] = str(error)
    unusable = [RunState(str(path.relative_to(runs)), UNREADABLE, path, why) for path, why in damaged.items()]
    return _Known(runs, scheduler, manifests, submitted, unusable)


def _runs_of(runs: Path, sweep: str) -> list[str]:
    record = sweep_manifest.read_manifest(runs, sweep)
    if record is None:
        known = ", ".join(sorted(record.sweep for record in sweep_manifest.read_manifests(runs))) or "none"
        raise RequestError(f"--sweep {sweep}: {runs} has no sweep of that name; it has {known}")
    return [run.run_id for run in record.runs]


def _state(run: RunFolder, known: _Known) -> RunState:
    try:
        return _readable_state(run, known)
    except OSError as error:
        return _unreadable(run.path, error.strerror or str(error))
    except RequestError as error:
        kind = UNREADABLE if isinstance(error.__cause__, OSError) else "failed"
        return RunState(run.path.name, kind, run.path, str(error), job=known.listed_jobs.get(run.path.name))


def _readable_state(run: RunFolder, known: _Known) -> RunState:
    name = run.path.name
    result = read_result(run)
    done = None if result is None else _done(run, result, known.listed_jobs.get(name))
    # What failed after the training may be in work again.
    if done is not None and not (done.why and (is_locked(run.lock) or known.queued(name))):
        return done
    if is_locked(run.lock):
        return _running(run, known.listed_jobs.get(name))
    here, job = known.queued(name), known.jobs.get(name)
    # Not every file system shares locks between nodes.
    if here is not None and _has_progress(run, here):
        return _running(run, job)
    if here is not None:
        return RunState(name, "queued", run.path, _waiting(here), job=job)
    unknown = job is not None and known.queue is None
    if (failure := read_failure(run)) is not None:
        why = f"{failure.error} ({UNKNOWN} it starts again)" if unknown and slurm.available() else failure.error
        return RunState(name, "failed", run.path, why, _epochs(run), job=job)
    if unknown:
        return RunState(name, "queued", run.path, NO_ANSWER, job=job)
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
    why = ""
    with contextlib.suppress(RequestError):  # the result counts
        why = failure.error if (failure := read_failure(run)) is not None else ""  # of what came after the training
    return RunState(run.path.name, "done", run.path, why, epochs, result.top1, seconds, job=job)


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
