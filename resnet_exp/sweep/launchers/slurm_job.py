"""What one task of a SLURM job runs: a run folder, through signals, requeues and time limits.

submitit pickles a `SlurmJob` when a sweep is submitted and calls it on every node. submitit's own signal handling
does not know what SLURM's signals mean for ranks, and has no limit on requeues; it is replaced here.

Jobs wait for days while the code changes. A pickle holds the names of this module and of `SlurmJob`, which must
therefore never change, and its fields, which are plain values: a new field needs a default.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core.errors import (
    EXIT_BAD_REQUEST,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    OwnedByOther,
    RequestError,
    RunFailed,
)
from resnet_exp.core.files import move_into_place
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal import console
from resnet_exp.launch.config_file import read_config
from resnet_exp.launch.run import resume_run
from resnet_exp.runs.command import git
from resnet_exp.runs.failure import ask_requeue, current_failure, write_error
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.submission import Task

STOP = (signal.SIGTERM, signal.SIGUSR2)
# How long a requeued job waits for processes of its earlier start, and a job for a controller that is down.
PATIENCE_SECONDS = 120
CONTROLLER_SECONDS = 600
# Set by batch scripts that look after srun whether the job is to start again. Those of earlier versions do not.
LOOKS_AFTER_SRUN = "RESNET_EXP_LOOKS_AFTER_SRUN"


@dataclass
class SlurmJob(Task):
    """Run the folder of one run, or the part of it that this node has."""

    def __call__(self) -> str:
        """Run, and return how the run ended.

        Raises:
            RunFailed: the run failed, and the job must count as failed in SLURM.
            RequestError: it could not start.
        """
        run = RunFolder(Path(self.folder))
        # In place of submitit's handlers: interrupt the preparation of data. `run_ranks` installs its own handlers.
        for number in STOP:
            signal.signal(number, signal.default_int_handler)
        try:
            return self._carry_out(run)
        except Exception as error:
            # What a rank has reported is the cause; `error` only repeats it, and cannot tell a lost peer.
            if not isinstance(error, OwnedByOther) and current_failure(run) is None:
                write_error(run, error, EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED)
            raise

    def _carry_out(self, run: RunFolder) -> str:
        try:
            code = self._run(run)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED  # a signal during the preparation of data
        if code == EXIT_DONE:
            return "done"
        # If another node has failed, srun's signal ends the run; it is not a reason to requeue.
        failure = current_failure(run)
        if code == EXIT_INTERRUPTED and failure is None:
            return self._interrupted(run)
        raise RunFailed(failure.error if failure is not None else f"exit code {code}")

    def _run(self, run: RunFolder) -> int:
        if slurm.restarts() > self.max_requeues:
            raise _exhausted(self.max_requeues)
        self._compare_commits()
        return resume_run(run, read_config(run), PATIENCE_SECONDS)

    def _compare_commits(self) -> None:
        code = git()
        now = code.commit if code is not None else None
        if self.commit and now and now != self.commit:
            console.say(f"note: submitted at commit {self.commit[:12]}, the code is now at {now[:12]}")

    def _interrupted(self, run: RunFolder) -> str:
        """Requeue the job, unless SLURM requeues it itself or has canceled it."""
        # SLURM may send its signal again, which must not interrupt the requeue.
        for number in STOP:
            signal.signal(number, signal.SIG_IGN)
        if os.environ.get("SLURM_PROCID", "0") != "0":
            return "interrupted"  # only the first node requeues; a failure on this one would end the job before that
        job = slurm.own_job()
        assert job is not None
        state = slurm.state(job)
        if state in ("RUNNING", None):
            # A signal before a time limit or a preemption: without a requeue, SLURM would just kill the job.
            self._ask_for_another_start(run, job)
        else:
            console.say(f"SLURM has this job as {state}: it starts again, or not, as SLURM decides")
        # Exit without submitit, which would write a result or an error for a job that starts again.
        sys.exit(EXIT_INTERRUPTED)

    def _ask_for_another_start(self, run: RunFolder, job: str) -> None:
        """Requeue the job, or leave that to its batch script where there is no scontrol, as in most containers."""
        if shutil.which("scontrol") is not None or LOOKS_AFTER_SRUN not in os.environ:
            self.start_again(job)
            return
        self._check_restarts()
        ask_requeue(run)
        console.say(f"no scontrol in this container: the batch script of job {job} requeues it")

    def _check_restarts(self) -> None:
        if slurm.restarts() >= self.max_requeues:
            raise _exhausted(self.max_requeues)

    def keep(self, submitit_folder: Path, job: str) -> None:
        """Pickle this object where its job looks for it, unless submitit has done so."""
        from submitit.core.utils import DelayedSubmission, JobPaths

        path = JobPaths(submitit_folder, job).submitted_pickle
        if not path.exists():
            # Renamed into place: the job may be polling for it.
            new = path.with_suffix(".new")
            DelayedSubmission(self).dump(new)
            move_into_place(new, path)

    def start_again(self, job: str) -> None:
        """Requeue the caller's own job.

        Raises:
            RunFailed: it was requeued `max_requeues` times, or cannot be requeued.
        """
        self._check_restarts()
        _requeue(job)


class EarlierJob:
    """A job that was submitted when `SlurmJob` was still in ``resnet_exp.slurm_job``: its run folder is outdated too.

    ``resnet_exp/__init__.py`` gives this class to pickles that ask for the old name.
    """

    folder: str

    def __call__(self) -> None:
        """Refuse to run; raises `RequestError`."""
        error = RequestError(f"{self.folder} was submitted by an earlier version; submit its sweep again")
        write_error(RunFolder(Path(self.folder)), error, EXIT_BAD_REQUEST)
        raise error


def is_of(pickled: Path, tasks: Sequence[Task]) -> bool:
    """Whether a file holds one of these tasks, for a job that has no number yet."""
    from submitit.core.utils import DelayedSubmission

    try:
        function = DelayedSubmission.load(pickled).function
    except Exception:  # of another program: unpickling may raise anything
        return False
    return isinstance(function, SlurmJob) and Task(**vars(function)) in tasks


def load_job(submitit_folder: Path, job: str) -> SlurmJob:
    """The `SlurmJob` that submitit pickled for a job."""
    from submitit.core.utils import DelayedSubmission, JobPaths

    pickled = DelayedSubmission.load(JobPaths(submitit_folder, job).submitted_pickle).function
    assert isinstance(pickled, SlurmJob)
    return pickled


def _exhausted(most: int) -> RunFailed:
    return RunFailed(
        f"requeued {most} times, as often as hydra.launcher.max_requeues={most} allows; rerun the same command to "
        "continue from the last checkpoint"
    )


def _requeue(job: str) -> None:
    """Requeue the job; waits for a controller that is restarting.

    Raises:
        RunFailed: the job cannot be requeued.
    """
    goes_on = "rerun the same command to continue from the last checkpoint"
    if shutil.which("scontrol") is None:
        raise RunFailed(f"job {job} cannot be requeued: no scontrol here, nor in its container; {goes_on}")
    deadline = time.monotonic() + CONTROLLER_SECONDS
    while slurm.ask("scontrol", "requeue", job) is None:
        state = slurm.state(job)
        if state not in ("RUNNING", None):
            console.say(f"SLURM has this job as {state} by now")
            return
        if time.monotonic() > deadline:
            raise RunFailed(f"job {job} could not be requeued: SLURM's controller does not answer; {goes_on}")
        time.sleep(2)
    console.say(f"job {job} requeued")
