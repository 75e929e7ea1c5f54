"""Submit the runs of a sweep to SLURM through submitit: one array, one task per node."""

from __future__ import annotations

import contextlib
import io
import math
import shlex
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnet_exp.config.schema import HardwareConfig, SlurmLauncherConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_DONE, EXIT_INTERRUPTED, RequestError
from resnet_exp.core.files import writing
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import plural, span
from resnet_exp.launch.run import freeze_run
from resnet_exp.runs import submission, sweep_manifest
from resnet_exp.runs.command import Command, this_command
from resnet_exp.runs.submission import Submission, end, queued_jobs, read_submission
from resnet_exp.sweep.launchers import slurm_job
from resnet_exp.sweep.launchers.common import end_sweep, forget_failure, runs_to_start
from resnet_exp.sweep.launchers.frontier_tracker import tracked
from resnet_exp.sweep.launchers.watch import watch_sweep
from resnet_exp.sweep.planned import PlannedRun, Sweep, manifest_of, write_sweep

# Leave part of the vendor's memory size to the node's own processes.
MEMORY_SHARE = 0.9
# For a preset that does not know its machine; SLURM's default is one CPU for all GPUs.
CPUS_PER_GPU = 8
# Options of sbatch with which a site asks for CPUs itself.
OWN_CPUS = ("cpus-per-task", "cpus_per_task", "cpus-per-gpu", "cpus_per_gpu")
LEAST = {"max_requeues": 0, "timeout_min": 1, "signal_delay_s": 1, "array_parallelism": 1}
# Settings of the launcher that submitit accepts under the same names, or passes to sbatch.
SITE = (
    *("signal_delay_s", "array_parallelism", "partition", "account", "qos", "constraint", "exclude", "nodelist"),
    *("exclusive", "gres", "comment", "stderr_to_stdout"),
)


# Threads that write run folders: they mostly wait for the disk or for a network file system.
WRITERS = 8


# A failed node must end the others, which would otherwise wait for it.
SRUN_ARGS = ("--kill-on-bad-exit=1",)


def check_settings(settings: SlurmLauncherConfig) -> None:
    """Check the numbers of ``hydra.launcher``; raises `RequestError` on the first that is too small."""
    for key, least in LEAST.items():
        if (given := getattr(settings, key)) < least:
            raise RequestError(f"hydra.launcher.{key}={given} must be {least} or more")


def submit(planned: Sweep, todo: list[PlannedRun], settings: SlurmLauncherConfig) -> dict[str, str]:
    """Freeze the runs of `todo` into their folders, submit them, and return the job of each.

    Args:
        planned: the whole sweep.
        todo: its runs that are neither done, running nor queued.
        settings: ``hydra.launcher`` of ``conf/hydra/launcher/slurm.yaml``.

    Raises:
        RequestError: the runs differ in hardware, or SLURM is missing or refuses them; nothing was submitted then.
    """
    check_settings(settings)
    token = uuid.uuid4().hex
    hardware = one_hardware(todo)
    if (note := no_cpus(hardware, settings)) is not None:
        console.say(f"note: {note}")
    executor = make_executor(planned, hardware, settings, token)
    command = this_command()
    new = [run for run in todo if not run.folder.path.exists()]
    jobs: dict[str, str] = {}
    try:
        _freeze(todo, command)
        size = slurm.largest_array()
        for start in range(0, len(todo), size):
            part = todo[start : start + size]
            commit = command.git.commit if command.git is not None else None
            tasks = [slurm_job.SlurmJob(str(run.folder.path), settings.max_requeues, commit) for run in part]
            with _signals_blocked():
                before = {run.run_id: jobs.get(run.run_id) for run in todo}
                manifest = manifest_of(planned, "slurm", before)
                folder = str(executor.folder.absolute())
                submission.begin(planned.runs_dir, Submission(token, folder, tuple(tasks), manifest))
                jobs |= _submit(executor, [run.run_id for run in part], tasks)
                write_sweep(planned, "slurm", {**before, **jobs})
                submission.end(planned.runs_dir)
            for run in part:
                forget_failure(run)
    except RequestError as error:
        _forget_refused(planned.runs_dir, executor.folder, token)
        for run in new:
            if run.run_id not in jobs:
                shutil.rmtree(run.folder.path, ignore_errors=True)
        some = f"; {len(jobs)} of {len(todo)} runs were submitted before" if jobs else ""
        raise RequestError(f"{error}{some}") from error
    return jobs


def _freeze(runs: list[PlannedRun], command: Command) -> None:
    with ThreadPoolExecutor(WRITERS) as writers:
        try:
            for number, _ in enumerate(writers.map(lambda run: freeze_run(run.config, command), runs), 1):
                if number % 50 == 0:
                    console.status(f"writing run folders: {number} of {len(runs)}")
        except BaseException:
            writers.shutdown(cancel_futures=True)
            raise
    console.status("")


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals, in sbatch too: a signal between its answer and the manifest would leave unrecorded jobs."""
    numbers = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


def one_hardware(runs: list[PlannedRun]) -> HardwareConfig:
    """The hardware of all runs: SLURM gives one kind of node to an array."""
    names = sorted({run.config.hardware.name for run in runs})
    wanted = {resources(run.config.hardware) for run in runs}
    if len(wanted) > 1 or len(names) > 1:
        raise RequestError(
            f"hardware={','.join(names)}: one array has one kind of node; submit a sweep for each hardware"
        )
    return runs[0].config.hardware


@dataclass(frozen=True)
class Resources:
    """Request to SLURM: nodes, and per node one task with GPUs, CPUs and GB of memory; None: not requested."""

    nodes: int
    gpus_per_node: int | None
    cpus_per_task: int | None
    mem_gb: int | None


def resources(hardware: HardwareConfig) -> Resources:
    """The resources of `hardware`."""
    memory = hardware.memory_gib
    mem_gb = None if memory is None else math.floor(memory * MEMORY_SHARE)
    gpus = hardware.gpus_per_node
    return Resources(hardware.nodes, gpus or None, hardware.cpus or CPUS_PER_GPU * gpus or None, mem_gb)


def requested(hardware: HardwareConfig, settings: SlurmLauncherConfig) -> Resources:
    """The resources of `hardware`, unless the settings override them."""
    names = ("gpus_per_node", "cpus_per_task", "mem_gb")
    given = {name: value for name in names if (value := getattr(settings, name)) is not None}
    preset = resources(hardware)
    if any(option in settings.additional_parameters for option in OWN_CPUS):
        preset = replace(preset, cpus_per_task=None)
    return replace(preset, **given)


def no_cpus(hardware: HardwareConfig, settings: SlurmLauncherConfig) -> str | None:
    """A note for jobs that ask for no CPUs."""
    own = settings.exclusive or any(option in settings.additional_parameters for option in OWN_CPUS)
    if own or requested(hardware, settings).cpus_per_task is not None:
        return None
    return f"hardware={hardware.name} asks for no CPUs, and SLURM then gives one; set hydra.launcher.cpus_per_task"


def make_executor(planned: Sweep, hardware: HardwareConfig, settings: SlurmLauncherConfig, token: str) -> Any:
    """Submitit's executor with all that SLURM is asked for; raises `RequestError` where it cannot be made."""
    # Imported late: only submission needs it.
    import submitit

    asked = requested(hardware, settings)
    folder = paths.expanded("hydra.launcher.submitit_folder", settings.submitit_folder)
    site = {name: value for name in SITE if (value := getattr(settings, name)) is not None}
    try:
        python = None if settings.python is None else shlex.quote(settings.python)
        executor = submitit.SlurmExecutor(folder, max_num_timeout=settings.max_requeues, python=python)
        executor.update_parameters(
            job_name=planned.name,
            time=settings.timeout_min,
            mem=None if asked.mem_gb is None else f"{asked.mem_gb}GB",
            nodes=asked.nodes,
            ntasks_per_node=1,
            cpus_per_task=asked.cpus_per_task,
            gpus_per_node=asked.gpus_per_node,
            setup=[f": submission {token}", *_setup(asked.cpus_per_task, settings)],
            teardown=_teardown(executor, asked.nodes, settings),
            srun_args=[*SRUN_ARGS, *(settings.srun_args or []), *(settings.container or [])],
            additional_parameters={"requeue": True, **settings.additional_parameters},
            **site,
        )
    except RuntimeError as error:
        raise RequestError(f"hydra/launcher=slurm: {error}; use a login node of the cluster") from error
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise RequestError(
            f"hydra.launcher: {reason}; other options of sbatch go into hydra.launcher.additional_parameters"
        ) from error
    return executor


def _setup(cpus: int | None, settings: SlurmLauncherConfig) -> list[str]:
    return [f"export {slurm_job.LOOKS_AFTER_SRUN}=1", *exports(cpus, settings), *(settings.setup or [])]


def exports(cpus: int | None, settings: SlurmLauncherConfig) -> list[str]:
    """Shell lines that tell a job's srun how many CPUs a task has, and what pyxis is to do."""
    # Since 22.05, srun does not inherit the number of CPUs from sbatch.
    lines = [f"export SRUN_CPUS_PER_TASK={cpus}"] if cpus else []
    if any(word.startswith("--container-") for word in settings.srun_args or []):
        # A node that was lost has kept the container of this job, whose next start would be refused there.
        lines.append("export ENROOT_FORCE_OVERRIDE=yes")
    return lines


def _teardown(executor: Any, nodes: int, settings: SlurmLauncherConfig) -> list[str]:
    """Shell lines after srun, outside of a container: there SLURM's programs are."""
    see = ["-m", "resnet_exp.sweep.launchers.lost_node", str(executor.folder), str(nodes)]
    line = shlex.join([sys.executable, *see])
    if settings.container:
        # This interpreter may be the container's own.
        inside = shlex.join([*settings.container, settings.python or sys.executable, *see])
        line = f"if [ -x {shlex.quote(sys.executable)} ]; then {line}; else {inside}; fi"
    return ["code=$?", f"[ $code = 0 ] || {{ {line}; }}", "exit $code"]


def _submit(executor: Any, run_ids: list[str], tasks: list[slurm_job.SlurmJob]) -> dict[str, str]:
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        # sbatch's own message is in the error too.
        with (
            writing(f"hydra.launcher.submitit_folder={executor.folder}"),
            contextlib.redirect_stderr(io.StringIO()),
            executor.batch(),
        ):
            submitted = [executor.submit(task) for task in tasks]
    except (FailedJobError, FailedSubmissionError) as error:
        reason = (str(error).partition("sbatch: error: ")[2] or str(error)).partition("\n")[0]
        raise RequestError(
            f"sbatch refuses the sweep ({reason}); change hydra.launcher, here or in conf/local/slurm.yaml"
        ) from error
    return {run_id: job.job_id for run_id, job in zip(run_ids, submitted, strict=True)}


def _forget_refused(runs_dir: Path, folder: Path, token: str) -> None:
    """Remove what a refused submission has left; sbatch may fail after SLURM has accepted: then that stays as it is."""
    found = read_submission(runs_dir)
    if found is None or found.token != token or queued_jobs(runs_dir, found) != {}:
        return
    end(runs_dir)
    for path in folder.glob("*.pkl"):
        if slurm_job.is_of(path, found.tasks):
            path.unlink()
    for path in folder.glob(".submission_file_*.sh"):
        if token in path.read_text():
            path.unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()  # only if it is empty


STATUS = "resnet_exp status"


def on_slurm(sweep: Sweep, settings: SlurmLauncherConfig) -> int:
    """Submit as one array, and wait for it unless ``hydra.launcher.wait=false``."""
    submitted, shows = False, f"{STATUS} {shlex.quote(str(sweep.runs_dir))}"
    try:
        with sweep_manifest.submitting(sweep.runs_dir):
            recover(sweep.runs_dir)
            todo = runs_to_start(sweep)
            if not todo:
                write_sweep(sweep, "slurm", {})
            else:
                began = time.monotonic()
                jobs = submit(sweep, todo, settings)
                arrays = ", ".join(sorted({job.partition("_")[0] for job in jobs.values()}))
                took = span(time.monotonic() - began)
                console.say(f"submitted {plural(len(jobs), 'run')} as job {arrays} in {took}")
        submitted = True
        console.say(f"sweep {sweep.name}; {shows} shows it at any time")
        if not settings.wait:
            return EXIT_DONE
        with tracked(sweep) as tracker:
            ended = watch_sweep(sweep, saw_done=tracker.saw)
        return end_sweep(sweep, ended)
    except KeyboardInterrupt:
        if submitted:
            console.say(f"left; the jobs keep running: {shows} shows them")
            console.say(f"scancel --name={sweep.name} ends them")
        else:
            console.say("stopped before all runs were submitted; the same command submits the rest")
        return EXIT_INTERRUPTED


def recover(runs_dir: Path) -> None:
    """Finish a submission that was killed: write the missing files of its jobs, if any, and add them to the manifest.

    Raises:
        RequestError: SLURM does not say whether there are any.
    """
    found = read_submission(runs_dir)
    if found is None:
        return
    queued = queued_jobs(runs_dir, found)
    if queued is None:
        raise RequestError("an earlier submission was cut off, and squeue does not say whether it has jobs; try later")
    if queued:
        runs = tuple(replace(run, job=queued.get(run.run_id, run.job)) for run in found.manifest.runs)
        for task in found.tasks:
            slurm_job.SlurmJob(**vars(task)).keep(Path(found.folder), queued[Path(task.folder).name])
        sweep_manifest.write_manifest(runs_dir, replace(found.manifest, runs=runs))
        console.say(f"note: a submission that was cut off has {plural(len(queued), 'run')} in the queue")
    end(runs_dir)
