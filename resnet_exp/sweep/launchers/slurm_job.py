"""What one task of a SLURM job carries out: a run folder, through signals, requeues and time limits.

submitit pickles a `SlurmJob` when a sweep is submitted and calls it on every node. Its own handling of signals knows
neither what a signal of SLURM's means for ranks, nor a limit to requeues: here it is replaced.

Jobs wait for days, and the code changes meanwhile. A pickle holds the name of this module and of `SlurmJob`, which
therefore stay, and its fields, which are plain values: one that is added later needs a default.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from resnet_exp.core import console, slurm
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
from resnet_exp.launch.config_file import read_config
from resnet_exp.launch.run import resume_run
from resnet_exp.runs import environment
from resnet_exp.runs.failure import current_failure, write_error
from resnet_exp.runs.folder import RunFolder

STOP = (signal.SIGTERM, signal.SIGUSR2)
# How long a requeued job waits for what is left of its earlier self, and a job for a controller that is away.
PATIENCE_SECONDS = 120
CONTROLLER_SECONDS = 600


@dataclass
class SlurmJob:
    """Run the folder of one run, or the part of it that this node has.

    `commit` is that of the submission, `max_requeues` how often the job may start again.
    """

    folder: str
    max_requeues: int
    commit: str | None

    def __call__(self) -> str:
        """Run, and return how it ended.

        Raises:
            RunFailed: the run failed; SLURM shall know.
            RequestError: it could not start.
        """
        run = RunFolder(Path(self.folder))
        # In place of submitit's handlers: an interrupt while data is prepared; `run_ranks` has handlers of its own.
        for number in STOP:
            signal.signal(number, signal.default_int_handler)
        try:
            return self._carry_out(run)
        except Exception as error:
            if not isinstance(error, OwnedByOther):
                write_error(run, error, EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED)
            raise

    def _carry_out(self, run: RunFolder) -> str:
        try:
            code = self._run(run)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED  # while data was prepared
        if code == EXIT_DONE:
            return "done"
        # Where another node has failed, srun's signal is the end and no reason to start again.
        failure = current_failure(run)
        if code == EXIT_INTERRUPTED and failure is None:
            return self._interrupted()
        raise RunFailed(failure.error if failure is not None else f"exit code {code}")

    def _run(self, run: RunFolder) -> int:
        if slurm.restarts() > self.max_requeues:
            raise _exhausted(self.max_requeues)
        self._compare_commits()
        return resume_run(run, read_config(run), PATIENCE_SECONDS)

    def _compare_commits(self) -> None:
        code = environment.git()
        now = code.commit if code is not None else None
        if self.commit and now != self.commit:
            console.say(f"note: submitted at commit {self.commit[:12]}, the code is now at {str(now)[:12]}")

    def _interrupted(self) -> str:
        """Start again later, unless somebody else sees to that, or does not want it."""
        # SLURM may repeat its signal, which must not interrupt the requeue.
        for number in STOP:
            signal.signal(number, signal.SIG_IGN)
        if os.environ.get("SLURM_PROCID", "0") != "0":
            return "interrupted"  # the first node speaks for all; a failure here would end it
        job = slurm.own_job()
        assert job is not None
        state = slurm.state(job)
        if state in ("RUNNING", None):
            # A signal before a time limit or a preemption: SLURM would only kill.
            self.start_again(job)
        else:
            console.say(f"SLURM has this job as {state}: it starts again, or not, as SLURM decides")
        # Past submitit, which would write a result, or an error, for a job that starts again.
        sys.exit(EXIT_INTERRUPTED)

    def keep(self, submitit_folder: Path, job: str) -> None:
        """Pickle it where a job looks for it, unless submitit has done so."""
        from submitit.core.utils import DelayedSubmission, JobPaths

        path = JobPaths(submitit_folder, job).submitted_pickle
        if not path.exists():
            # Its job may be looking already.
            new = path.with_suffix(".new")
            DelayedSubmission(self).dump(new)
            move_into_place(new, path)

    def start_again(self, job: str) -> None:
        """Put the job, which is the caller's own, back into the queue.

        Raises:
            RunFailed: that was done as often as it may be, or is not possible.
        """
        if slurm.restarts() >= self.max_requeues:
            raise _exhausted(self.max_requeues)
        _requeue(job)


class EarlierJob:
    """A job that was submitted when `SlurmJob` was still in ``resnet_exp.slurm_job``: its run folder has moved on too.

    `resnet_exp` itself gives it to pickles that ask for that name.
    """

    folder: str

    def __call__(self) -> None:
        """Refuse to run; raises `RequestError`."""
        error = RequestError(f"{self.folder} was submitted by an earlier version; submit its sweep again")
        write_error(RunFolder(Path(self.folder)), error, EXIT_BAD_REQUEST)
        raise error


def load_job(submitit_folder: Path, job: str) -> SlurmJob:
    """What submitit has pickled for a job."""
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
    """Put the job back into the queue; a controller that is being restarted is waited for.

    Raises:
        RunFailed: that is not possible.
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
