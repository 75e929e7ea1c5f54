"""Run a sweep on this machine, several runs at a time, each on its own devices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import partial

from resnet_exp.config.checks import validate
from resnet_exp.config.schema import LocalLauncherConfig
from resnet_exp.core.errors import EXIT_DONE, EXIT_INTERRUPTED, RequestError
from resnet_exp.core.machine import devices
from resnet_exp.core.machine.cpu_shares import begin_child, shares_of
from resnet_exp.core.terminal import console
from resnet_exp.launch.run import freeze_run
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.command import this_command
from resnet_exp.runs.failure import failure_now, write_failure
from resnet_exp.runs.folder import RunFolder
from resnet_exp.sweep.launchers.common import end_sweep, forget_failure, runs_to_start
from resnet_exp.sweep.launchers.frontier_tracker import tracked
from resnet_exp.sweep.launchers.watch import watch_sweep
from resnet_exp.sweep.planned import PlannedRun, Sweep, write_sweep


@dataclass
class _Job:
    process: subprocess.Popen[bytes]
    gpus: list[str]
    folder: RunFolder


class Pool:
    """Starts each run in its own process, as GPUs become free."""

    def __init__(self, todo: list[PlannedRun], parallel: int | None) -> None:
        """`parallel` runs at a time; None for as many as the GPUs allow, or one on a CPU.

        Raises:
            RequestError: `parallel` is below 1, or a run needs more GPUs than there are.
        """
        if parallel is not None and parallel < 1:
            raise RequestError(f"hydra.launcher.parallel={parallel} must be 1 or more")
        for run in todo:
            validate.check_devices(run.config.hardware)
        self.waiting = list(todo)
        self.free = _gpu_names()
        most = max((run.config.hardware.gpus_per_node for run in todo), default=0)
        self.parallel = parallel or (max(1, len(self.free)) if most else 1)
        # No more than are used at a time: the CPUs are shared among these.
        self.free = self.free[: min(self.parallel, len(todo)) * most]
        self.cpus = dict(zip(self.free, shares_of(devices.visible_gpus()[: len(self.free)]), strict=False))
        self.running: list[_Job] = []
        self.stopping = False

    def advance(self) -> bool:
        """Remove runs that ended and start those that can start; returns whether any is left."""
        for job in [job for job in self.running if job.process.poll() is not None]:
            self.running.remove(job)
            self.free += job.gpus
            _explain(job)
        while self.waiting and not self.stopping and len(self.running) < self.parallel:
            wanted = self.waiting[0].config.hardware.gpus_per_node
            if wanted > len(self.free):
                break
            taken, self.free = self.free[:wanted], self.free[wanted:]
            run = self.waiting.pop(0)
            self.running.append(_Job(self._start(run, taken), taken, run.folder))
        return bool(self.running or (self.waiting and not self.stopping))

    def _start(self, run: PlannedRun, gpus: list[str]) -> subprocess.Popen[bytes]:
        freeze_run(run.config, this_command())
        forget_failure(run)
        environ = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(gpus)}
        if not gpus:
            # Otherwise each run would use all cores, and they would slow each other down.
            environ.setdefault("OMP_NUM_THREADS", str(max(1, devices.usable_cpus() // self.parallel)))
        cpus = frozenset[int]().union(*(self.cpus.get(gpu, ()) for gpu in gpus))
        with run.folder.launcher_log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "resnet_exp.train", str(run.folder.path)],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # In a session of its own: we forward Ctrl-C, once.
                start_new_session=True,
                preexec_fn=partial(begin_child, os.getpid(), cpus),
            )

    def stop(self) -> None:
        """Ask the running runs to save a checkpoint and end, and start no more."""
        self.stopping = True
        for job in self.running:
            job.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Stop, and wait until all runs have ended."""
        if self.running:
            self.stop()
        for job in self.running:
            job.process.wait()


def _explain(job: _Job) -> None:
    """Write ``failure.json`` for a run that ended before it had ranks, with the last line of its launcher."""
    folder, code = job.folder, job.process.returncode
    if code in (EXIT_DONE, EXIT_INTERRUPTED) or folder.result.exists():
        return
    words = folder.launcher_log.read_text(errors="replace").strip().splitlines() or [f"exit code {code}"]
    write_failure(folder, failure_now(words[-1], exit_code=code))


def _gpu_names() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = len(devices.visible_gpus())
    return [name.strip() for name in visible.split(",")][:count] if visible else [str(i) for i in range(count)]


def pooled(sweep: Sweep, settings: LocalLauncherConfig) -> int:
    """Run on this machine, several at a time."""
    code = EXIT_DONE
    with sweep_manifest.own_sweep(sweep.runs_dir, sweep.name), tracked(sweep) as tracker:
        todo = runs_to_start(sweep)
        pool = Pool(todo, settings.parallel)  # refuses before anything is written
        write_sweep(sweep, "submitit_local", dict.fromkeys(run.run_id for run in todo))
        try:
            watch_sweep(sweep, settle=0, alive=pool.advance, saw_done=tracker.saw)
        except KeyboardInterrupt:
            console.say("stopping: each run saves a checkpoint first")
            code = EXIT_INTERRUPTED
        finally:
            pool.close()
    return end_sweep(sweep, sweep.states(), code)
