"""Checkpoints of finished runs, and which caches unfinished runs use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from omegaconf import MISSING

from resnet_exp.cleaning.item import CHECKPOINTS, Item
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.locks import is_locked
from resnet_exp.core.machine import slurm
from resnet_exp.launch.config_file import stored_config
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.states import RunState, Scheduler, collect_states

# States of runs that use a cache now, or will.
BUSY = ("planned", "queued", "running")


@dataclass
class Runs:
    """What is known of the runs of some folders.

    Attributes:
        checkpoints: of finished runs that do not ask to keep them.
        caches: ``data.cache_dir`` of any run.
        busy: of a run that runs or is queued, with that run.
    """

    checkpoints: list[Item] = field(default_factory=list[Item])
    caches: set[Path] = field(default_factory=set[Path])
    busy: dict[Path, RunState] = field(default_factory=dict[Path, RunState])


def look_at_runs(folders: list[Path], scheduler: Scheduler = slurm) -> Runs:
    """Look at all runs of some folders of runs; `scheduler` as in `collect_states`.

    Raises:
        RequestError: there is no such folder.
    """
    found = Runs()
    for folder in folders:
        for state in collect_states(folder, scheduler=scheduler):
            _look(state, found)
    return found


def _look(state: RunState, found: Runs) -> None:
    run, config = RunFolder(state.path), _config(RunFolder(state.path))
    cache = None if config is None or config.data.cache_dir == MISSING else Path(config.data.cache_dir)
    # A finished run is locked until its trackers have taken what is left.
    if state.kind in BUSY or is_locked(run.lock):
        found.busy.setdefault(cache or Path(), state)
    elif state.kind == "done" and config is not None and not config.keep_checkpoints and run.weights.exists():
        found.checkpoints += _checkpoints(run)
    if cache is not None:
        found.caches.add(cache)


def _checkpoints(run: RunFolder) -> Iterator[Item]:
    if run.checkpoints.is_dir():
        yield Item(CHECKPOINTS, "the run is finished and has weights.pt", (run.checkpoints,), run.lock)


def _config(run: RunFolder) -> RunConfig | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return stored_config(run)
    return None
