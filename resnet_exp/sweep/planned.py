"""A sweep: every run is composed, checked and recorded before the first one starts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig

from resnet_exp.config.identity import outcome
from resnet_exp.config.overrides.hydra_errors import explain_error
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import slurm
from resnet_exp.core.terminal import console
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.command import this_command
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.states import RunState, Scheduler, collect_states
from resnet_exp.runs.sweep_manifest import SweepManifest, SweepRun
from resnet_exp.sweep.compose import RunComposer
from resnet_exp.sweep.partial import REFUSED, explain_partial


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep: its finalized configuration, its overrides, and those that vary within the sweep."""

    config: RunConfig
    overrides: tuple[str, ...]
    varied_overrides: tuple[str, ...]

    @property
    def run_id(self) -> str:
        return self.folder.path.name

    @property
    def folder(self) -> RunFolder:
        return self.config.folder


@dataclass(frozen=True)
class Sweep:
    """The runs of one sweep, all in one folder; `requested_ids` may repeat.

    `continued`: the sweep already has other runs. `search`: the search space of a sweep that will choose its own runs;
    `runs` are then only examples.
    """

    name: str
    runs_dir: Path
    runs: list[PlannedRun]
    requested_ids: list[str]
    continued: bool = False
    search: str | None = None

    def states(self, scheduler: Scheduler = slurm) -> list[RunState]:
        """State of each run, in the sweep's order; `scheduler` as in `resnet_exp.runs.states.collect_states`."""
        if not self.runs_dir.is_dir():
            return [RunState(run.run_id, "missing", run.folder.path) for run in self.runs]
        return collect_states(self.runs_dir, [run.run_id for run in self.runs], scheduler)


def plan_sweep(
    loader: ConfigLoader,
    master: DictConfig,
    jobs: Sequence[Sequence[str]],
    continued: bool = False,
    remote: bool = False,
    search: str | None = None,
) -> Sweep:
    """Compose and check every run of a sweep; a run that is requested twice is included once.

    Args:
        loader: Hydra's.
        master: the configuration of the sweep itself.
        jobs: overrides of each run.
        continued: earlier runs of the same sweep stay in its manifest.
        remote: the runs are for other machines, whose hardware is not visible here.
        search: as in `Sweep`.

    Raises:
        RequestError: a run cannot be composed, two that differ have one run id, or the runs would lie in several
            folders or sweeps.
    """
    composer = RunComposer(loader, master, remote)
    runs: dict[str, PlannedRun] = {}
    requested_ids = []
    began = time.monotonic()
    shared = set(jobs[0]).intersection(*jobs)
    for number, overrides in enumerate(jobs):
        varied = tuple(override for override in overrides if override not in shared)
        config = _composed(composer, jobs, overrides, varied)
        planned = PlannedRun(config, tuple(filter_overrides(list(overrides))), varied)
        _check_folder(runs.setdefault(planned.run_id, planned), planned)
        requested_ids.append(planned.run_id)
        if time.monotonic() - began > 1:
            console.status(f"composing runs: {number + 1} of {len(jobs)}")
    console.status("")
    if len(runs) < len(jobs) and not search:
        console.say(f"note: {len(jobs) - len(runs)} of {len(jobs)} runs are asked for twice and run once")
    planned_runs = list(runs.values())
    runs_dir = Path(_same("runs_dir", [run.config.runs_dir for run in planned_runs]))
    return Sweep(_name(planned_runs), runs_dir, planned_runs, requested_ids, continued, search)


def _check_folder(first: PlannedRun, planned: PlannedRun) -> None:
    """Refuse two runs that differ and would share a folder: only one of them would be trained."""
    if first is not planned and outcome(first.config) != outcome(planned.config):
        which = " and of ".join(" ".join(run.varied_overrides) for run in (first, planned))
        raise RequestError(
            f"run_id={planned.run_id} would be the folder of {which}; leave run_id out, and each run gets its own"
        )


def _composed(
    composer: RunComposer, jobs: Sequence[Sequence[str]], overrides: Sequence[str], varied: tuple[str, ...]
) -> RunConfig:
    """Compose one run; an error names the overrides that vary within the sweep."""
    try:
        return composer.compose(overrides)
    except REFUSED as error:
        message = str(error) if isinstance(error, RequestError) else explain_error(error, overrides)
        if partial := explain_partial(composer, jobs, overrides, message):
            raise RequestError(partial) from error
        raise RequestError(f"{message} (in the run with {' '.join(varied)})" if varied else message) from error


Value = TypeVar("Value", str, str | None)


def _name(runs: list[PlannedRun]) -> str:
    given = _same("sweep", [run.config.sweep for run in runs])
    return given or sweep_manifest.default_name([run.run_id for run in runs])


def _same(key: str, values: Iterable[Value]) -> Value:
    found = set(values)
    if len(found) > 1:
        raise RequestError(f"{key}={','.join(sorted(map(str, found)))}: one sweep has one {key}; start several")
    return found.pop()


def write_sweep(sweep: Sweep, launcher: str, jobs: Mapping[str, str | None]) -> None:
    """Write the manifest of the sweep; `jobs` as in `manifest_of`."""
    sweep_manifest.write_manifest(sweep.runs_dir, manifest_of(sweep, launcher, jobs))


def manifest_of(sweep: Sweep, launcher: str, jobs: Mapping[str, str | None]) -> SweepManifest:
    """The manifest of the sweep; `jobs` are the jobs of the runs that start now, None for runs without one."""
    known = {**sweep_manifest.jobs(sweep_manifest.read_manifests(sweep.runs_dir)), **jobs}
    before = sweep_manifest.read_manifest(sweep.runs_dir, sweep.name) if sweep.continued else None
    ours = {run.run_id for run in sweep.runs}
    earlier = [run for run in before.runs if run.run_id not in ours] if before is not None else []
    runs = [SweepRun(run.run_id, run.overrides, known.get(run.run_id)) for run in sweep.runs]
    command = vars(this_command())
    return SweepManifest(sweep=sweep.name, **command, launcher=launcher, runs=(*earlier, *runs))
