"""The command line: Hydra composes, `launch.run` carries out. No torch here, so that it answers in a second."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config import command_line, resolvers
from resnet_exp.config.finalize import finalize, unused_settings
from resnet_exp.config.hydra_errors import explain_error
from resnet_exp.config.schema import (
    BasicLauncherConfig,
    LauncherConfig,
    LocalLauncherConfig,
    RunConfig,
    SlurmLauncherConfig,
)
from resnet_exp.core import console, paths
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.core.text import one_line
from resnet_exp.launch.run import launch_run
from resnet_exp.sweep.launchers import slurm
from resnet_exp.sweep.launchers.basic import in_turn
from resnet_exp.sweep.launchers.local import pooled
from resnet_exp.sweep.planned import Sweep

Job = Callable[[RunConfig], int]
SweepJob = Callable[[Sweep, LauncherConfig], int]


def main() -> int:
    """Train or sweep; returns the exit code."""
    return run_hydra(launch_run, _carry_out_sweep)


class HydraTask:
    """What Hydra calls for one run, and our launchers for a sweep; keeps the exit codes.

    `writes` is read by our sweeper: without it, no file says what a sweep was asked for.
    """

    def __init__(self, job: Job, sweep_job: SweepJob | None, wanted_traceback: bool, writes: bool = True) -> None:
        self.job, self.sweep_job, self.wanted_traceback = job, sweep_job, wanted_traceback
        self.writes = writes
        self.codes: list[int] = []

    def __call__(self, composed: DictConfig) -> None:
        """Carry out one composed configuration."""
        self.codes.append(self._attempt(lambda: self.job(_finalized(composed))))

    def sweep(self, sweep: Sweep, launcher: LauncherConfig) -> None:
        """Carry out a sweep the launcher's way, or where the program has none of its own, run by run."""
        sweep = _described(sweep)
        if self.sweep_job is not None:
            self.codes.append(self.sweep_job(sweep, launcher))
        elif isinstance(launcher, BasicLauncherConfig):
            self.codes.append(in_turn(sweep, self.attempt))
        else:
            raise RequestError(f"hydra/launcher={launcher.name}: this command runs here only; use hydra/launcher=basic")
        if self.codes[-1] == EXIT_INTERRUPTED:
            raise KeyboardInterrupt

    def attempt(self, finalized: RunConfig) -> int:
        """Carry out one run of a sweep: what goes wrong in it does not end the others."""
        return self._attempt(lambda: self.job(finalized))

    def _attempt(self, job: Callable[[], int]) -> int:
        try:
            return job()
        except KeyboardInterrupt:
            return EXIT_INTERRUPTED
        except (RequestError, OmegaConfBaseException) as error:
            console.complain(str(error) if isinstance(error, RequestError) else explain_error(error))
            return EXIT_BAD_REQUEST
        except RunFailed as error:
            console.complain(str(error))
            return EXIT_FAILED
        except Exception as error:
            if self.wanted_traceback:
                raise
            console.complain(f"{type(error).__name__}: {one_line(error)}; HYDRA_FULL_ERROR=1 shows where")
            return EXIT_FAILED


def run_hydra(job: Job, sweep_job: SweepJob | None = None, writes: bool = True) -> int:
    """Compose the configuration of the command line and give it to `job`, or all of a sweep's to `sweep_job`.

    Args:
        job: carries out one run and returns its exit code.
        sweep_job: the same for a sweep, as its launcher wants it; None gives each of its runs to `job`.
        writes: False for a program that leaves nothing behind.

    Returns:
        The exit code: 2 if the request was wrong, else 1 if a job failed, else 0.
    """
    resolvers.register()
    # Hydra prints its errors over many lines and exits with 1; with this it raises them to us.
    wanted_traceback = bool(os.environ.get("HYDRA_FULL_ERROR"))
    os.environ["HYDRA_FULL_ERROR"] = "1"
    task = HydraTask(job, sweep_job, wanted_traceback, writes)
    decorated = hydra.main(version_base="1.3", config_path=str(paths.conf_dir()), config_name="config")(task)
    # While data is prepared, being told to stop is as good as Ctrl-C; ranks have their own way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _set_options_last()
        decorated()
    except (HydraException, OmegaConfBaseException, RequestError) as error:
        if wanted_traceback:
            raise
        console.complain(str(error) if isinstance(error, RequestError) else explain_error(error))
        return EXIT_BAD_REQUEST
    except (OSError, ValueError) as error:
        # Hydra's own, such as of a sweep's folder that it cannot make.
        if wanted_traceback:
            raise
        console.complain(f"{one_line(error)}; HYDRA_FULL_ERROR=1 shows where")
        return EXIT_BAD_REQUEST
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return max(task.codes, default=EXIT_DONE)


def _carry_out_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
    if isinstance(launcher, SlurmLauncherConfig):
        return slurm.on_slurm(sweep, launcher)
    if isinstance(launcher, LocalLauncherConfig):
        return pooled(sweep, launcher)
    return in_turn(sweep, HydraTask(launch_run, None, False).attempt)


def _described(sweep: Sweep) -> Sweep:
    """The sweep whose runs know its name, and each its own command."""
    options = command_line.options()
    runs = []
    for run in sweep.runs:
        command = command_line.command_of([*options, *run.overrides])
        runs.append(replace(run, config=replace(run.config, command=command, sweep=sweep.name)))
    return replace(sweep, runs=runs)


def _finalized(composed: DictConfig) -> RunConfig:
    _refuse_lonely_submission()
    overrides = list(HydraConfig.get().overrides.task)
    chosen_anew = any(override.startswith("algorithms=") for override in overrides)
    for name in [] if chosen_anew else unused_settings(composed, overrides):
        console.say(f"note: settings of algorithms.{name} are left out, since it is not switched on")
    command = command_line.command_of([*command_line.options(), *overrides])
    return replace(finalize(composed, overrides), command=command)


def _refuse_lonely_submission() -> None:
    launcher = HydraConfig.get().launcher._target_
    if launcher.rpartition(".")[2] == "Slurm":
        raise RequestError("hydra/launcher=slurm submits sweeps, of one run too: add -m")


def _set_options_last() -> None:
    """Let options stand anywhere among the overrides, and refuse unknown ones in one line."""

    def refuse(message: str) -> NoReturn:
        raise RequestError(f"{message}; --help shows what there is")

    parser = get_args_parser()
    parser.error = refuse
    known, rest = parser.parse_known_args()
    if unknown := [word for word in rest if word.startswith("-")]:
        refuse(f"{unknown[0]} is not an option")
    # argparse takes only the first group of overrides: those after `-m` would be unknown to it.
    overrides = [*known.overrides, *rest]
    sys.argv[1:] = [*overrides, *(word for word in sys.argv[1:] if word not in overrides)]


if __name__ == "__main__":
    sys.exit(main())
