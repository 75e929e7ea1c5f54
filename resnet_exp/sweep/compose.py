"""A sweep: every run composed, checked and written down before the first one starts."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config import validate
from resnet_exp.config.hydra_errors import explain
from resnet_exp.core import console, slurm
from resnet_exp.core.errors import RequestError
from resnet_exp.launch import run as launch
from resnet_exp.runs import environment, sweep_manifest
from resnet_exp.runs.folder import RunDir
from resnet_exp.runs.states import RunState, Scheduler, collect

SWEEP_NAME = validate.values.RUN_ID


@dataclass(frozen=True)
class Planned:
    """One run of a sweep: its finalized configuration, its overrides, and those that tell it from the others."""

    config: dict[str, Any]
    overrides: tuple[str, ...]
    own: tuple[str, ...]

    @property
    def run_id(self) -> str:
        return str(self.config["run_id"])

    @property
    def folder(self) -> RunDir:
        return launch.folder_of(self.config)


@dataclass(frozen=True)
class Sweep:
    """The runs of one sweep, all in one folder; `asked` are their ids as they were asked for, repetitions included.

    `continued` if the sweep has had other runs before these. `search` is the space of one that will choose its runs
    itself: those given stand for them.
    """

    name: str
    runs_dir: Path
    runs: list[Planned]
    asked: list[str]
    continued: bool = False
    search: str | None = None

    def states(self, scheduler: Scheduler = slurm) -> list[RunState]:
        """State of each run, in the sweep's order; `scheduler` as in `resnet_exp.runs.states.collect`."""
        if not self.runs_dir.is_dir():
            return [RunState(run.run_id, "missing", run.folder.path) for run in self.runs]
        return collect(self.runs_dir, [run.run_id for run in self.runs], scheduler)


class Composer:
    """Composes the runs of a sweep.

    Hydra takes a tenth of a second for one. Runs that differ only in values, not in options of groups, start from a
    copy of one composition and have their values set on it, as Hydra does last of all.
    """

    def __init__(self, loader: ConfigLoader, master: DictConfig, elsewhere: bool = False) -> None:
        self.loader, self.master, self.elsewhere = loader, master, elsewhere
        self.parser = OverridesParser.create(config_loader=loader)
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._groups: dict[str, bool] = {}

    def compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Finalized configuration of one run.

        Raises:
            RequestError: it cannot be run.
        """
        parsed = self.parser.parse_overrides(list(overrides))
        plain = [override for override in parsed if self._is_value(override)]
        lines = {override.input_line for override in plain}
        base = self._base(tuple(line for line in overrides if line not in lines))
        if any(not _is_leaf(base, override) for override in plain):
            plain, base = [], self._base(tuple(overrides))
        closed = copy.deepcopy(base)
        for override in plain:
            OmegaConf.update(closed, override.key_or_group, override.value())
        if self.elsewhere and closed.hardware.device == "auto":
            raise RequestError(
                f"hardware={closed.hardware.name} is not known before the job runs; name it, such as hardware=a100x8"
            )
        return validate.complete(closed)

    def _is_value(self, override: Override) -> bool:
        simple = override.type == OverrideType.CHANGE and override.package is None
        return simple and not self._is_group(override.key_or_group)

    def _is_group(self, key: str) -> bool:
        # Hydra takes a hundredth of a second to look.
        if key not in self._groups:
            self._groups[key] = bool(self.loader.get_group_options(key))
        return self._groups[key]

    def _base(self, overrides: tuple[str, ...]) -> DictConfig:
        if overrides not in self._bases:
            composed = self.loader.load_sweep_config(self.master, list(overrides))
            task = list(composed.hydra.overrides.task)
            with open_dict(composed):
                del composed["hydra"]
            self._bases[overrides] = validate.close(composed, task)
        return self._bases[overrides]


def _is_leaf(base: DictConfig, override: Override) -> bool:
    node = OmegaConf.select(base, override.key_or_group, default=base)
    return not OmegaConf.is_config(node) and not isinstance(override.value(), (dict, list))


def plan(
    loader: ConfigLoader,
    master: DictConfig,
    jobs: Sequence[Sequence[str]],
    continued: bool = False,
    elsewhere: bool = False,
    search: str | None = None,
) -> Sweep:
    """Compose and check every run of a sweep; a run that is asked for twice is in it once.

    Args:
        loader: Hydra's.
        master: the configuration of the sweep itself.
        jobs: overrides of each run.
        continued: earlier runs of the same sweep stay in its manifest.
        elsewhere: the runs are for other machines, whose hardware this one cannot see.
        search: as in `Sweep`.

    Raises:
        RequestError: a run cannot be composed, or the runs would lie in several folders or sweeps.
    """
    composer = Composer(loader, master, elsewhere)
    runs: dict[str, Planned] = {}
    asked = []
    began = time.monotonic()
    shared = set(jobs[0]).intersection(*jobs)
    for number, overrides in enumerate(jobs):
        own = tuple(override for override in overrides if override not in shared)
        config = _composed(composer, overrides, own)
        planned = Planned(config, tuple(filter_overrides(list(overrides))), own)
        runs.setdefault(planned.run_id, planned)
        asked.append(planned.run_id)
        if time.monotonic() - began > 1:
            console.status(f"composing runs: {number + 1} of {len(jobs)}")
    console.status("")
    if len(runs) < len(jobs) and not search:
        console.say(f"note: {len(jobs) - len(runs)} of {len(jobs)} runs are asked for twice and run once")
    planned_runs = list(runs.values())
    return Sweep(_name(planned_runs), Path(_same("runs_dir", planned_runs)), planned_runs, asked, continued, search)


def _composed(composer: Composer, overrides: Sequence[str], own: tuple[str, ...]) -> dict[str, Any]:
    """Compose one run; an error names what is its own."""
    try:
        return composer.compose(overrides)
    except (OmegaConfBaseException, RequestError) as error:
        message = str(error) if isinstance(error, RequestError) else explain(error)
        raise RequestError(f"{message} (in the run with {' '.join(own)})" if own else message) from error


def _name(runs: list[Planned]) -> str:
    name = _same("sweep", runs) or sweep_manifest.default_name([run.run_id for run in runs])
    if not SWEEP_NAME.fullmatch(name):
        raise RequestError(f"sweep={name} cannot name a file; use letters, digits and . _ + -")
    return name


def _same(key: str, runs: list[Planned]) -> Any:
    found = {run.config[key] for run in runs}
    if len(found) > 1:
        raise RequestError(f"{key}={','.join(sorted(map(str, found)))}: one sweep has one {key}; start several")
    return found.pop()


def write_manifest(sweep: Sweep, launcher: str, jobs: Mapping[str, str | None]) -> None:
    """Write down what the sweep consists of; `jobs` as in `record`."""
    sweep_manifest.write(sweep.runs_dir, record(sweep, launcher, jobs))


def record(sweep: Sweep, launcher: str, jobs: Mapping[str, str | None]) -> dict[str, Any]:
    """What the sweep consists of; `jobs` are the jobs of runs that start anew, None of those without."""
    known = {**sweep_manifest.jobs(sweep_manifest.read_all(sweep.runs_dir)), **jobs}
    before = (sweep_manifest.read(sweep.runs_dir, sweep.name) or {}) if sweep.continued else {}
    ours = {run.run_id for run in sweep.runs}
    earlier = [row for row in before.get("runs", []) if row["run_id"] not in ours]
    facts = environment.of_launcher()
    rows = [
        {"run_id": run.run_id, "overrides": list(run.overrides), "job": known.get(run.run_id)} for run in sweep.runs
    ]
    described = {"sweep": sweep.name, **{key: facts[key] for key in ("time", "command", "host", "git")}}
    return {**described, "launcher": launcher, "runs": [*earlier, *rows]}
