"""The part on this machine: ``hydra/launcher=slurm hydra.launcher.host=me@login``."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from resnet_exp.config import initial_weights
from resnet_exp.config.schema import RunConfig, SlurmLauncherConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.core.files import writing
from resnet_exp.core.records import is_object
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import one_line, plural
from resnet_exp.launch.dataset import check_images_named
from resnet_exp.runs.result import read_result
from resnet_exp.runs.states import UNREADABLE, RunState
from resnet_exp.sweep.launchers.common import end_sweep
from resnet_exp.sweep.launchers.slurm import check_settings
from resnet_exp.sweep.launchers.watch import watch_sweep
from resnet_exp.sweep.planned import PlannedRun, Sweep
from resnet_exp.sweep.remote.host import Finished, Host, connected, last_line
from resnet_exp.sweep.remote.login_node import MODULE, SentRun, SentSweep

# Each asks the cluster's controller, which serves many users.
POLL_SECONDS = 5.0
HOST = re.compile(r"[\w\[][\w.@:%\[\]+-]*")
ENDED = ("done", "failed", "stopped")
STATUS = "resnet_exp.status"


def on_host(sweep: Sweep, settings: SlurmLauncherConfig) -> int:
    """Submit a sweep on the login node of a cluster, show its runs, and bring their results; returns the exit code.

    Raises:
        RequestError: the host, or SLURM there, cannot be used; nothing was submitted then.
    """
    host_name, folder = _checked(settings)
    for run in sweep.runs:
        _check(run.config)
    todo = [run for run in sweep.runs if not _is_over(run)]
    if len(todo) < len(sweep.runs):
        console.say(f"note: {len(sweep.runs) - len(todo)} of {len(sweep.runs)} runs are already done here")
    if not todo:
        return end_sweep(sweep, [_local(run) for run in sweep.runs])
    with connected(host_name, folder, settings.remote_python) as host:
        submitted = False
        try:
            host.check()
            # The manifest there keeps the runs that are done here, and a search's earlier ones.
            part = len(todo) < len(sweep.runs)
            done = _submit(host, replace(sweep, runs=todo, continued=sweep.continued or part), settings)
            submitted = done.code == EXIT_DONE
            code = _show(host, done)
            if code != EXIT_DONE or not settings.wait:
                return code
            return _follow(host, sweep, todo)
        except KeyboardInterrupt:
            if submitted:
                console.say(f"left; the jobs keep running on {settings.host}: the same command shows them again")
            return EXIT_INTERRUPTED


def _checked(settings: SlurmLauncherConfig) -> tuple[str, str]:
    """The host and the folder there."""
    check_settings(settings)
    host, folder = settings.host or "", settings.remote_dir
    if not HOST.fullmatch(host):
        raise RequestError(f"hydra.launcher.host={host} is not a host; use what ssh takes, such as me@login")
    if not folder:
        raise RequestError(f"hydra.launcher.host={host} needs hydra.launcher.remote_dir, a folder of runs there")
    if not folder.startswith(("/", "~/")):
        raise RequestError(f"hydra.launcher.remote_dir={folder} must begin with / or ~/: it is a folder of {host}")
    return host, folder


def _check(config: RunConfig) -> None:
    """Refuse what only this machine has, and a run without images."""
    check_images_named(config)
    start = config.init_from
    if start is not None and initial_weights.weights_file(start) is not None:
        raise RequestError(f"init_from={start} is a file of this machine; with hydra.launcher.host, name known weights")


def _submit(host: Host, sweep: Sweep, settings: SlurmLauncherConfig) -> Finished:
    """Send the runs; returns what submits them there."""
    default = paths.default_cache(str(sweep.runs_dir))
    submitit = paths.expanded("hydra.launcher.submitit_folder", settings.submitit_folder)
    sent = SentSweep(
        sweep.name,
        host.folder,
        str(sweep.runs_dir),
        tuple(SentRun(asdict(run.config), run.overrides, run.varied_overrides) for run in sweep.runs),
        asdict(settings),
        all(run.config.data.cache_dir == default for run in sweep.runs),
        os.path.abspath(submitit) == str(sweep.runs_dir / ".submitit"),
        sweep.continued,
    )
    console.status(f"sending {plural(len(sweep.runs), 'run')} to {host.name}")
    done = host.run(host.module(MODULE), json.dumps(asdict(sent)))
    console.status("")
    return done


def _show(host: Host, done: Finished) -> int:
    """Say what a submission has said; returns its exit code."""
    for line in done.output.splitlines():
        console.say(f"{host.name}: {line}")
    for line in done.errors.splitlines():
        console.complain(f"{host.name}: {line}")
    return done.code if done.code in (EXIT_DONE, EXIT_BAD_REQUEST) else EXIT_FAILED


def _follow(host: Host, sweep: Sweep, todo: list[PlannedRun]) -> int:
    """Show the runs until all have ended, bring the results, and return the exit code of the sweep."""
    there = RunsThere(host, sweep.name, sweep.runs_dir, todo)
    watch_sweep(there)
    return end_sweep(sweep, [there.last.get(run.run_id) or _local(run) for run in sweep.runs])


class RunsThere:
    """The states of the runs of a sweep on its host; brings each run that has ended."""

    def __init__(self, host: Host, sweep: str, runs_dir: Path, runs: Iterable[PlannedRun]) -> None:
        self.last: dict[str, RunState] = {}
        self._host, self._sweep, self._runs_dir = host, sweep, runs_dir
        self._runs = [run.run_id for run in runs]
        self._asked = -POLL_SECONDS
        self._brought: set[str] = set()
        self._lost = False

    def states(self, scheduler: object = None) -> list[RunState]:
        """The last known states; the host is asked every `POLL_SECONDS`, in vain while there is no network."""
        if not self.last or time.monotonic() - self._asked >= POLL_SECONDS:
            self._ask()
            self._asked = time.monotonic()
        return [self.last.get(run, RunState(run, "queued", self._runs_dir / run)) for run in self._runs]

    def _ask(self) -> None:
        host = self._host
        try:
            done = host.run(f"{host.module(STATUS)} {host.quoted_folder} --sweep {self._sweep} --json")
            if done.code not in (EXIT_DONE, EXIT_FAILED):
                raise RunFailed(f"{host.name} does not say how the runs are ({last_line(done)})")
            found = [_state(line, self._runs_dir) for line in done.output.splitlines() if line.startswith("{")]
            # A run has ended here once it is here.
            self._bring([state.run_id for state in found if state.kind in ENDED])
            self.last |= {state.run_id: state for state in found if state.run_id in self._runs}
            if self._lost:
                console.say(f"note: {host.name} answers again")
            self._lost = False
        except (RequestError, RunFailed) as error:
            if not self._lost:
                console.say(f"note: {one_line(error)}; the jobs go on, and this is tried again")
            self._lost = True

    def _bring(self, ended: Sequence[str]) -> None:
        """Bring runs that have ended and were not brought yet; raises `RunFailed` if that fails."""
        missing = [run for run in ended if run in self._runs and run not in self._brought]
        if missing:
            with writing(f"runs_dir={self._runs_dir}"):
                self._runs_dir.mkdir(parents=True, exist_ok=True)
            self._host.bring(missing, self._runs_dir)
            self._brought.update(missing)


def _state(line: str, runs_dir: Path) -> RunState:
    values = json.loads(line)
    assert is_object(values)
    return RunState(**{**values, "path": runs_dir / str(values["run_id"])})


def _is_over(run: PlannedRun) -> bool:
    """Whether a run is done, and its mirror has it."""
    is_mirrored = run.config.mirror is None or not run.folder.failure.exists()
    return read_result(run.folder) is not None and is_mirrored


def _local(run: PlannedRun) -> RunState:
    result = read_result(run.folder)
    if result is None:
        return RunState(run.run_id, UNREADABLE, run.folder.path)
    return RunState(
        run.run_id, "done", run.folder.path, "", str(result.epochs), result.top1, result.timing.train_seconds
    )
