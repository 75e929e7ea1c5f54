"""The command line: Hydra composes the configuration, and a job runs it."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from hydra._internal.utils import _run_hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from resnet_exp.config import hydra_versions, resolvers
from resnet_exp.config.finalize import finalize, unused_settings
from resnet_exp.config.overrides import command_line, completion, no_effect, refusals
from resnet_exp.config.overrides.hydra_errors import missing_key
from resnet_exp.config.schema import (
    BasicLauncherConfig,
    LauncherConfig,
    LocalLauncherConfig,
    RunConfig,
    SlurmLauncherConfig,
)
from resnet_exp.core import paths
from resnet_exp.core.errors import EXIT_DONE, EXIT_INTERRUPTED, RequestError
from resnet_exp.core.terminal import console, help_text
from resnet_exp.data.images import shipped
from resnet_exp.launch.run import launch_run
from resnet_exp.runs.command import VERSION, version_line
from resnet_exp.sweep.launchers import slurm
from resnet_exp.sweep.launchers.basic import in_turn
from resnet_exp.sweep.launchers.local import pooled
from resnet_exp.sweep.planned import Sweep
from resnet_exp.sweep.remote.laptop import on_host

Composed = RunConfig | tuple[Sweep, LauncherConfig]
Job = Callable[[RunConfig], int]
SweepJob = Callable[[Sweep, LauncherConfig], int]


def main(words: Sequence[str] | None = None) -> int:
    """Train or sweep as a command line says, by default that of this process; returns the exit code."""
    return run_hydra(sys.argv[1:] if words is None else words, launch_run, _carry_out_sweep)


class HydraTask:
    """Called by Hydra for one run, and by our launchers for a sweep; keeps the exit codes.

    Our sweeper reads `writes`: if false, it records nothing about a sweep.
    """

    def __init__(self, words: Sequence[str], job: Job, sweep_job: SweepJob | None, writes: bool) -> None:
        self.words, self.job, self.sweep_job, self.writes = words, job, sweep_job, writes
        # Words that Hydra refused for the sweep as a whole, each with its error; our sweepers give them to each run.
        self.deferred: dict[str, HydraException] = {}
        # The user's own setting, not the one Hydra runs with.
        self.full_error = os.environ.get(refusals.FULL_ERROR)
        self.codes: list[int] = []

    def __call__(self, composed: DictConfig) -> None:
        """Run one composed configuration."""
        for error in self.deferred.values():
            self.codes.append(refusals.refused(error))
            return
        with refusals.full_error(self.full_error), refusals.errors_reported(self.codes, self.full_error):
            self.codes.append(self.job(self._finalized(composed)))

    def sweep(self, sweep: Sweep, launcher: LauncherConfig) -> None:
        """Run a sweep with its launcher, or run by run if this program has no job for sweeps."""
        sweep = self._with_commands(sweep)
        with refusals.full_error(self.full_error):
            self.codes.append(self._carry_out(sweep, launcher))
        if self.codes[-1] == EXIT_INTERRUPTED:
            raise KeyboardInterrupt

    def _carry_out(self, sweep: Sweep, launcher: LauncherConfig) -> int:
        if self.sweep_job is not None:
            return self.sweep_job(sweep, launcher)
        if isinstance(launcher, BasicLauncherConfig):
            return in_turn(sweep, lambda config: _attempt(self.job, config, self.full_error))
        raise RequestError(f"hydra/launcher={launcher.name}: this command only runs here; use hydra/launcher=basic")

    def _with_commands(self, sweep: Sweep) -> Sweep:
        """The sweep with its name and each run's own command in the configurations."""
        options = command_line.options_here(self.words)
        runs = []
        for run in sweep.runs:
            command = command_line.command_of([*options, *run.overrides])
            runs.append(replace(run, config=replace(run.config, command=command, sweep=sweep.name)))
        return replace(sweep, runs=runs)

    def _finalized(self, composed: DictConfig) -> RunConfig:
        _refuse_words_of_sweeps()
        overrides = command_line.as_typed(HydraConfig.get().overrides.task)
        if more := no_effect.words_for_folder(overrides, composed.dataset.name):
            composed = _composed_with([*overrides, *more])
        chosen_anew = any(override.startswith("algorithms=") for override in overrides)
        for name in [] if chosen_anew else unused_settings(composed, overrides):
            console.say(f"note: settings of algorithms.{name} are ignored, since it is not switched on")
        command = command_line.command_of([*command_line.options_here(self.words), *overrides])
        return replace(finalize(composed, overrides), command=command)


def _composed_with(overrides: Sequence[str]) -> DictConfig:
    """What Hydra composes with other overrides than those of the job that it runs."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    composed = hydra.config_loader.load_sweep_config(OmegaConf.create({"hydra": HydraConfig.get()}), list(overrides))
    with open_dict(composed):
        del composed["hydra"]
    return composed


class _Kept(HydraTask):
    """Keeps what Hydra composed, and runs nothing; errors are raised."""

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__(words, launch_run, None, writes=False)
        self.found: list[Composed] = []
        self.error: Exception | None = None

    def __call__(self, composed: DictConfig) -> None:
        self.error = next(iter(self.deferred.values()), None)
        try:
            self.found.append(self._finalized(composed))
        except refusals.REFUSALS as error:
            self.error = self.error or error  # Hydra would print more of it

    def sweep(self, sweep: Sweep, launcher: LauncherConfig) -> None:
        self.codes.append(EXIT_DONE)
        self.found.append((self._with_commands(sweep), launcher))


def compose(words: Sequence[str]) -> Composed:
    """The configuration of a command line: of a run, or a sweep with its launcher. Starts and writes nothing.

    Raises:
        RequestError: a word is wrong.
    """
    task = _Kept(words)
    try:
        with refusals.full_error("1"):
            _follow(task)
        if task.error is not None:
            raise task.error
    except refusals.REFUSALS as error:
        raise RequestError(refusals.message(error, words)) from error
    if not task.found:
        raise RequestError(f"{' '.join(words)} asks for no run; give settings, such as recipe=mild ssr=0.5")
    return task.found[0]


def run_hydra(words: Sequence[str], job: Job, sweep_job: SweepJob | None = None, writes: bool = True) -> int:
    """Compose the configuration of a command line and pass it to `job`, or those of a sweep to `sweep_job`.

    Args:
        words: arguments of the command line.
        job: runs one configuration and returns its exit code.
        sweep_job: the same for a sweep; None passes each of its runs to `job`.
        writes: False for a program that writes no files.

    Returns:
        The exit code: 2 if the request was wrong, else 1 if a job failed, else 0.
    """
    if VERSION in words:
        console.say(version_line())
        return EXIT_DONE
    task = HydraTask(words, job, sweep_job, writes)
    try:
        # As `hydra.main` does with the arguments of this process.
        with _terminable(), refusals.full_error("1"):
            _follow(task)
    except Exception as error:
        if task.full_error:
            raise
        return refusals.refused(error, words) if isinstance(error, refusals.REFUSALS) else refusals.fault(error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return max(task.codes, default=EXIT_DONE)


def _follow(task: HydraTask) -> None:
    """Have Hydra compose the words of a task, and call the task."""
    resolvers.register()
    hydra_versions.use_current_behavior()
    no_effect.refuse_folders(command_line.parse(task.words).overrides)
    while _defers(task):
        pass


def _defers(task: HydraTask) -> bool:
    """Compose and run; True if a word was deferred instead, and it is to be tried again.

    Hydra composes a sweep once as a whole, without the values that it sweeps over: it refuses
    ``-m recipe=medium,hot algorithms.sam.rho=0.1``, since the default recipe has no SAM.
    """
    parsed = command_line.parse(task.words)
    parsed.overrides = [word for word in parsed.overrides if word not in task.deferred]
    # A file can start a sweep too.
    sweeps = parsed.multirun or parsed.config_name or any(word.startswith("hydra.mode=") for word in parsed.overrides)
    shows = parsed.cfg or parsed.info or parsed.shell_completion
    if parsed.cfg and not parsed.config_name:
        parsed.overrides += no_effect.words_for_folder(parsed.overrides, shipped.DIGITS.name)
    try:
        _answer(parsed, task)
    except HydraException as error:
        key = missing_key(error)
        found = [word for word in parsed.overrides if key and word.lstrip("+~").partition("=")[0] == key]
        if not (found and sweeps) or shows:
            raise
        task.deferred[found[-1]] = error
        return True
    return False


def _answer(arguments: argparse.Namespace, task: HydraTask) -> None:
    """Do what the options ask Hydra for."""

    def run() -> None:
        _run_hydra(
            args=arguments,
            args_parser=hydra_versions.args_parser(),
            task_function=task,
            config_path=str(paths.conf_dir()),
            config_name="config",
        )

    if arguments.shell_completion:
        completion.answer(run)
    elif arguments.help or arguments.hydra_help:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            run()
        console.say(help_text.wrapped(text.getvalue().rstrip("\n"), console.width()))
    else:
        run()


def _attempt(job: Job, config: RunConfig, full_error: str | None = None) -> int:
    """The exit code of one run of a sweep: its errors do not end the other runs."""
    codes: list[int] = []
    with refusals.errors_reported(codes, full_error):
        codes.append(job(config))
    return codes[0]


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C in a block.

    A scheduler sends SIGTERM where a user presses Ctrl-C. An interrupted conversion can then be resumed; the launcher
    of ranks handles both signals itself and lets the ranks save a checkpoint.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _carry_out_sweep(sweep: Sweep, launcher: LauncherConfig) -> int:
    if isinstance(launcher, SlurmLauncherConfig):
        if launcher.host is not None:
            return on_host(sweep, launcher)
        return slurm.on_slurm(sweep, launcher)
    if isinstance(launcher, LocalLauncherConfig):
        return pooled(sweep, launcher)
    return in_turn(sweep, lambda config: _attempt(launch_run, config))


def _refuse_words_of_sweeps() -> None:
    """Refuse a launcher or a sweeper of a run that is not a sweep: neither would be used."""
    hydra = HydraConfig.get()
    words = command_line.as_typed(hydra.overrides.hydra)
    asked = [word for word in words if word.startswith(("hydra/launcher=", "hydra/sweeper="))]
    # A file can name it too, and `command_line.options_here` writes commands of its runs.
    if hydra.launcher._target_.endswith(".Slurm") and "hydra.mode=RUN" not in words:
        asked.append("hydra/launcher=slurm")
    if asked := [word for word in asked if not word.endswith("=basic")]:
        raise RequestError(f"{asked[0]} is for sweeps, even of one run: add -m")
