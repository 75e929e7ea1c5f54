"""The front's half of a run: lock the folder, prepare the data, start the ranks, wait for them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Generator
from dataclasses import replace

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import (
    EXIT_BAD_REQUEST,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    OwnedByOther,
    RequestError,
    RunFailed,
    RunStopped,
)
from resnet_exp.core.files import is_full, no_empty_folders, writing
from resnet_exp.core.machine import allocator, devices
from resnet_exp.core.machine.cpu_shares import Cpus, shares_of
from resnet_exp.core.terminal import console, program
from resnet_exp.launch import preflight, rendezvous, summary
from resnet_exp.launch.config_file import other_settings, write_config
from resnet_exp.launch.dataset import check_same_data, read_data_set
from resnet_exp.launch.mirroring import complete_mirror, is_brought, mirrored
from resnet_exp.launch.prepare import describe_data, prepare_data
from resnet_exp.launch.ranks import run_ranks
from resnet_exp.launch.rendezvous import Rendezvous
from resnet_exp.runs import checkpoints, environment
from resnet_exp.runs.command import Command
from resnet_exp.runs.environment import read_environment, write_environment
from resnet_exp.runs.failure import Failure, current_failure, read_failure
from resnet_exp.runs.folder import FULL, RunFolder, acquire
from resnet_exp.runs.result import Result, read_result

# For the first node to write the configuration, and to bring the run from its mirror.
FIRST_NODE_SECONDS, MIRROR_SECONDS = 600, 1800
# Settings that a note names.
SETTINGS_SHOWN = 3


def launch_run(config: RunConfig, patience: float = 0) -> int:
    """Carry out a finalized configuration on this node and return the exit code; see `train_run`.

    Raises:
        RequestError: the run cannot start, or its ranks refuse it.
        RunFailed: the data could not be prepared, or the run failed.
    """
    try:
        return _carry_out(config, patience)
    except RunStopped as stopped:
        console.say(str(stopped))
        return EXIT_INTERRUPTED


def train_run(config: RunConfig) -> Result:
    """Train a finalized configuration in processes of its own, and return the result.

    A finished run is not trained again: its result is shown. A failed or stopped one resumes from its last checkpoint.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.

    Raises:
        RequestError: the run cannot start, or its ranks refuse it; nothing was trained.
        RunFailed: the data could not be prepared, or the run failed.
        RunStopped: it was interrupted, and has saved a checkpoint.
    """
    _carry_out(config, patience=0)
    result = read_result(config.folder)
    if result is None:
        raise RunFailed(f"{config.folder.path} has no result on this node; the first node says why")
    return result


def _carry_out(config: RunConfig, patience: float) -> int:
    """Run what is left of a run; returns an exit code, on any node but the first that of its ranks.

    `patience`: seconds to wait for another process that owns the run folder. Raises as `train_run` does.
    """
    folder = config.folder
    if read_result(folder) is not None:
        _show_done(folder, config)
        if rendezvous.own_node(config.hardware) == 0:
            complete_mirror(folder, config)
        return EXIT_DONE
    program.work_begins()
    preflight.check_machine(config)
    place = rendezvous.find_rendezvous(config.hardware)
    if place.node > 0:
        return _run_other_node(folder, config, place)
    _check_folder(folder, config)
    with no_empty_folders(folder.path):
        return _run_first_node(folder, config, place, patience)


def _check_folder(folder: RunFolder, config: RunConfig) -> None:
    """Check that the run can go on from what its folder has; raises `RequestError` if not."""
    read_data_set(folder)
    checkpoints.check_checkpoint(folder)
    check_same_data(config)


def _run_first_node(folder: RunFolder, config: RunConfig, place: Rendezvous, patience: float) -> int:
    """Lock the folder, prepare the data, and run the ranks of the first node."""
    new = not folder.path.exists()
    owner = _lock_folder(folder, patience)
    try:
        with _kept_in_mirror(folder, config, new):
            if read_result(folder) is not None:
                _show_done(folder, config)
                return EXIT_DONE
            _make_ready(folder, config, new)
            _announce(folder, config, place)
            ranks = config.hardware.ranks_per_node
            code = run_ranks(folder, ranks, place, owner, _cpu_shares(config), _settings(config))
            return _report(folder, code, new)
    finally:
        console.status("")
        os.close(owner)


def _show_done(folder: RunFolder, config: RunConfig) -> None:
    """Print the result of a run that is done."""
    read_data_set(folder)  # a damaged file would let other images pass
    check_same_data(config)
    result = read_result(folder)
    assert result is not None
    console.say(f"already done: {folder.path}")
    if differ := other_settings(folder, config):
        rest = [f"and {len(differ) - SETTINGS_SHOWN} more"] * (len(differ) > SETTINGS_SHOWN)
        shown = "; ".join([*differ[:SETTINGS_SHOWN], *rest])
        console.say(f"note: it was trained with other settings ({shown}); another run_id trains with these")
    console.say(summary.table(result, folder.path, console.width()))


@contextlib.contextmanager
def _kept_in_mirror(folder: RunFolder, config: RunConfig, new: bool) -> Generator[None]:
    """As `mirrored`; a folder that comes from there is checked, and a `new` one of a refused run is removed."""
    if config.mirror is None:
        yield
        return
    try:
        with mirrored(folder, config):
            _check_folder(folder, config)
            yield
    except RequestError:
        _discard(folder, new)
        raise


def resume_run(folder: RunFolder, config: RunConfig, patience: float = 0) -> int:
    """Run a folder that has a configuration; see `launch_run`."""
    return launch_run(replace(config, runs_dir=str(folder.path.parent), run_id=folder.path.name), patience)


def freeze_run(config: RunConfig, command: Command) -> None:
    """Write the folder of a run that is submitted now and starts later: its configuration is frozen.

    Raises:
        RequestError: the folder cannot be written.
    """
    folder = config.folder
    with writing(f"runs_dir={folder.path.parent}"):
        folder.path.mkdir(parents=True, exist_ok=True)
        write_config(folder, config)
        write_environment(folder, replace(read_environment(folder), submitted=command))


def _run_other_node(folder: RunFolder, config: RunConfig, place: Rendezvous) -> int:
    """Run the ranks of any node but the first; the first node holds the folder's lock and talks to the user."""
    if config.mirror is not None:
        _await_first_node(place, folder, lambda: is_brought(folder), MIRROR_SECONDS)
        if read_result(folder) is not None:
            return EXIT_DONE  # the run was finished elsewhere
    prepare_data(config)
    _await_first_node(place, folder, folder.config.exists, FIRST_NODE_SECONDS)
    return run_ranks(folder, config.hardware.ranks_per_node, place, None, _cpu_shares(config), _settings(config))


def _await_first_node(place: Rendezvous, folder: RunFolder, ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RunFailed(
                f"node {place.node} saw nothing of the first node in {folder.path} for {seconds:g} s; runs_dir must be "
                "a folder of all nodes"
            )
        time.sleep(1)


def _cpu_shares(config: RunConfig) -> list[Cpus]:
    """The CPUs of each rank of this node; none for ranks without GPUs, whose arithmetic depends on the number."""
    return shares_of(devices.visible_gpus()[: config.hardware.gpus_per_node]) if config.hardware.gpus_per_node else []


def _settings(config: RunConfig) -> dict[str, str]:
    """The environment of ranks that train on the CPU, beside this process's."""
    return allocator.for_training() if config.hardware.device == "cpu" else {}


def _lock_folder(folder: RunFolder, patience: float) -> int:
    deadline = time.monotonic() + patience
    while True:
        try:
            with writing(f"runs_dir={folder.path.parent}"):
                return acquire(folder)
        except OwnedByOther:
            # A requeued job can start while its old processes on another node are still being killed.
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _make_ready(folder: RunFolder, config: RunConfig, new: bool) -> None:
    """Prepare the data and write what the ranks read; if that is refused, a `new` folder is removed."""
    try:
        prepare_data(config)
        with writing(f"runs_dir={folder.path.parent}"):
            write_config(folder, config)
            environment.describe(folder)
            describe_data(folder, config)
    except BaseException:
        _discard(folder, new)
        raise


def _discard(folder: RunFolder, new: bool) -> None:
    """Remove the folder of a refused run, unless an earlier attempt left files in it."""
    if new and not folder.latest_checkpoint.exists():
        shutil.rmtree(folder.path, ignore_errors=True)


def _announce(folder: RunFolder, config: RunConfig, place: Rendezvous) -> None:
    """Print what is about to be trained, and remove the failure of an earlier attempt."""
    console.say(summary.header(config, folder, console.width()))
    _forget_failure(folder, place)
    console.status("starting: importing torch and composer takes a few seconds")


def _report(folder: RunFolder, code: int, new: bool) -> int:
    """Print the result of a run whose ranks ended with `code`; raises the error of one without a result."""
    console.status("")
    if code == EXIT_INTERRUPTED:
        raise RunStopped(f"stopped; rerun the same command to continue: {folder.path}")
    result = read_result(folder)
    if code == EXIT_DONE and result is not None:
        console.say(summary.table(result, folder.path, console.width()))
        return EXIT_DONE
    failure = read_failure(folder) or Failure(_failure_without_reason(folder, code))
    if failure.exit_code == EXIT_BAD_REQUEST:
        _discard(folder, new)
        raise RequestError(failure.error)
    console.say(f"log: {folder.rank_log(failure.rank or 0)}")
    raise RunFailed(failure.error)


def _forget_failure(folder: RunFolder, place: Rendezvous) -> None:
    """Remove the failure of an earlier attempt, but not one that another node reported in this attempt."""
    if place.nodes == 1 or current_failure(folder) is None:
        folder.failure.unlink(missing_ok=True)


def _failure_without_reason(folder: RunFolder, code: int) -> str:
    if is_full(folder.path):
        return FULL.format(folder.path.parent)
    return f"the run ended without a result (exit code {code})"
