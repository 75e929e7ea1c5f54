"""The part on the login node: submits frozen runs that another machine sends to its standard input."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resnet_exp.config.checks.validate import validate
from resnet_exp.config.schema import PlainValues, RunConfig, SlurmLauncherConfig, part_config, run_config
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_FAILED, RequestError, RunFailed
from resnet_exp.core.records import Text, Texts, from_json
from resnet_exp.core.terminal import console, program
from resnet_exp.data.images import shipped
from resnet_exp.sweep.launchers.slurm import on_slurm
from resnet_exp.sweep.planned import PlannedRun, Sweep

MODULE = "resnet_exp.sweep.remote.login_node"


@dataclass(frozen=True)
class SentRun:
    """One run: its configuration, its overrides, and those that vary within the sweep."""

    config: dict[str, object]
    overrides: Texts
    varied_overrides: Texts


@dataclass(frozen=True)
class SentSweep:
    """What the other machine sends.

    Attributes:
        name: of the sweep.
        folder: of the runs here.
        their_folder: of the runs on the other machine.
        runs: frozen.
        settings: of the launcher.
        own_cache: whether ``data.cache_dir`` is the default, which is another folder on each machine.
        own_submitit: the same of ``hydra.launcher.submitit_folder``.
        continued: the manifest here keeps its other runs.
    """

    name: Text
    folder: Text
    their_folder: Text
    runs: tuple[SentRun, ...]
    settings: dict[str, object]
    own_cache: bool
    own_submitit: bool
    continued: bool


def main() -> int:
    """Submit what comes on standard input; returns the exit code."""
    try:
        sent = from_json(SentSweep, json.load(sys.stdin))
        settings = part_config(SlurmLauncherConfig, sent.settings)
        runs_dir = paths.user_path(sent.folder).absolute()
        if sent.own_submitit:
            settings.submitit_folder = str(runs_dir / ".submitit")
        return on_slurm(_sweep(sent, runs_dir), replace(settings, wait=False))
    except (RequestError, RunFailed) as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED


def _sweep(sent: SentSweep, runs_dir: Path) -> Sweep:
    runs = [PlannedRun(_here(run.config, sent, runs_dir), run.overrides, run.varied_overrides) for run in sent.runs]
    return Sweep(sent.name, runs_dir, runs, [run.run_id for run in runs], sent.continued)


def _here(values: PlainValues, sent: SentSweep, runs_dir: Path) -> RunConfig:
    """A frozen configuration with the places of this machine."""
    config = replace(run_config(values), runs_dir=str(runs_dir))
    config.loggers = _moved(config.loggers, sent.their_folder, str(runs_dir))
    config.callbacks = _moved(config.callbacks, sent.their_folder, str(runs_dir))
    if sent.own_cache:
        config.data.cache_dir = paths.default_cache(str(runs_dir))
    if (in_the_box := shipped.ALL.get(config.dataset.name)) is not None:
        config.dataset.dir = str(in_the_box.folder_below(config.data.cache_dir))
    validate(config)
    return config


def _moved(value: Any, their_folder: str, here: str) -> Any:
    """Settings with another folder of runs, in which some loggers keep their files."""
    if isinstance(value, str):
        return value.replace(their_folder, here)
    if isinstance(value, dict):
        return {key: _moved(each, their_folder, here) for key, each in value.items()}
    if isinstance(value, list):
        return [_moved(each, their_folder, here) for each in value]
    return value


if __name__ == "__main__":
    sys.exit(program.run(main))
