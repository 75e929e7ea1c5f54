"""The front's half of a run: own the folder, prepare the data, start the ranks, see them end."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader

from resnet_exp.config import validate
from resnet_exp.core import console
from resnet_exp.core.devices import usable_cpus
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.data import digits, formats, image_tree
from resnet_exp.data.conversion.process import Terms
from resnet_exp.launch import rendezvous, summary
from resnet_exp.launch.ranks import run_ranks
from resnet_exp.launch.rendezvous import Place
from resnet_exp.runs import checkpoints, environment, sweep_manifest
from resnet_exp.runs.folder import FULL, RunDir, acquire, is_full, write_text

# What reads an image folder as it is; formats of users look after their data themselves.
FOLDER_FORMAT = "resnet_exp.data.imagefolder.make_loader"
FIRST_NODE_SECONDS = 600
SYNTHETIC = "resnet_exp.data.synthetic.make_loader"


def folder_of(config: dict[str, Any]) -> RunDir:
    """Run folder of a finalized configuration."""
    return RunDir(Path(config["runs_dir"]).absolute() / config["run_id"])


def run(config: dict[str, Any], patience: float = 0) -> int:
    """Carry out a finalized configuration and return the exit code.

    A finished run is not run again: its result is shown. A broken one goes on from its last checkpoint.

    Args:
        config: of `resnet_exp.config.validate.finalize`.
        patience: seconds to wait for another process that owns the run folder.

    Raises:
        RequestError: the run cannot start; nothing was started.
        RunFailed: the data could not be prepared.
    """
    folder = folder_of(config)
    if (result := folder.read_result()) is not None:
        console.say(f"done already: {folder.path}")
        console.say(summary.table(result, folder.path, console.width()))
        return EXIT_DONE
    validate.check_devices(config["hardware"])
    place = rendezvous.find(config["hardware"])
    if place.node > 0:
        return _follow(folder, config, place)
    checkpoints.check(folder)
    new = not folder.path.exists()
    owner = _own(folder, patience)
    try:
        try:
            prepare_data(config)
            _describe(folder, config)
        except BaseException:
            _discard(folder, new)
            raise
        code = _train(folder, config, place, owner)
        if code == EXIT_BAD_REQUEST:
            _discard(folder, new)
        return code
    finally:
        os.close(owner)


def resume(folder: RunDir, config: dict[str, Any], patience: float = 0) -> int:
    """Run a folder that has a configuration; see `run`."""
    return run({**config, "runs_dir": str(folder.path.parent), "run_id": folder.path.name}, patience)


def freeze(config: dict[str, Any], facts: dict[str, Any]) -> None:
    """Write a run folder whose run starts later, as it is configured now; `facts` are those of its submission.

    Raises:
        RequestError: the folder cannot be written.
    """
    folder = folder_of(config)
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        _write_config(folder, config)
        environment.update(folder, {"submitted": facts})
    except OSError as error:
        raise sweep_manifest.unwritable(folder.path.parent, error) from error


def _follow(folder: RunDir, config: dict[str, Any], place: Place) -> int:
    """Run the ranks of a node that is not the first, which owns the folder and talks to the user."""
    prepare_data(config)
    deadline = time.monotonic() + FIRST_NODE_SECONDS
    while not folder.config.exists():
        if time.monotonic() > deadline:
            raise RunFailed(f"node {place.node} found no {folder.config}; runs_dir must be a folder of all nodes")
        time.sleep(1)
    return run_ranks(folder, validate.ranks_per_node(config["hardware"]), place, None)


def _own(folder: RunDir, patience: float) -> int:
    deadline = time.monotonic() + patience
    while True:
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            return acquire(folder)
        except RequestError:
            # A job that was moved can start while its processes on the other node are being killed.
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        except OSError as error:
            with contextlib.suppress(OSError):
                folder.path.rmdir()  # which removes only an empty one
            raise sweep_manifest.unwritable(folder.path.parent, error) from error


def _describe(folder: RunDir, config: dict[str, Any]) -> None:
    try:
        _write_config(folder, config)
        environment.describe(folder)
        describe_data(folder, config)
    except OSError as error:
        raise sweep_manifest.unwritable(folder.path.parent, error) from error


def describe_data(folder: RunDir, config: dict[str, Any]) -> None:
    """Note in ``environment.json`` which converted images a run uses, and the names of their classes."""
    if (converted := formats.of(config["data"])) is not None:
        settings = formats.settings_of(config["data"])
        environment.update(folder, {"data": converted.facts(config["dataset"]["dir"] or "", settings)})


class _Dumper(yaml.CSafeDumper):
    """Ten times as fast as `OmegaConf.to_yaml`, and quotes every text that OmegaConf would read as something else."""

    yaml_implicit_resolvers = get_yaml_loader().yaml_implicit_resolvers


def _write_config(folder: RunDir, config: dict[str, Any]) -> None:
    text = yaml.dump(config, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    write_text(folder.config, text)


def _discard(folder: RunDir, new: bool) -> None:
    """Remove the folder of a refused run, unless an earlier try has left something in it."""
    if new and not folder.latest_checkpoint.exists():
        shutil.rmtree(folder.path, ignore_errors=True)


def prepare_data(config: dict[str, Any], most_skipped: int = 0) -> None:
    """Check the dataset, and write what is written once: the digits, converted images.

    Args:
        config: of `resnet_exp.config.validate.finalize`.
        most_skipped: so many images that cannot be converted are left out of a conversion; 0 leaves out none.

    Raises:
        RequestError: the data is not what the configuration says, or there is no room for it.
        RunFailed: the conversion failed.
    """
    data, dataset = config["data"], config["dataset"]
    if data["loader"]["_target_"] == SYNTHETIC:
        return
    if dataset["name"] == "digits":
        digits.prepare(data["cache_dir"])
    converted = formats.of(data)
    if converted is None:
        if data["loader"]["_target_"] == FOLDER_FORMAT:
            _check_tree(config)
        return
    settings = formats.settings_of(data)
    if converted.needs_folder(settings):
        _check_tree(config)
    terms = Terms(usable_cpus(), console.say, most_skipped, dataset["num_classes"])
    converted.prepare(dataset["dir"] or "", settings, terms)


def _check_tree(config: dict[str, Any]) -> None:
    dataset = config["dataset"]
    names = image_tree.check(dataset["dir"], config["train_batch_size"], dataset["min_images_per_class"])
    if len(names) != dataset["num_classes"]:
        raise RequestError(
            f"dataset.dir={dataset['dir']} has {len(names)} classes, dataset={dataset['name']} says "
            f"{dataset['num_classes']}; use dataset=imagefolder or dataset.num_classes={len(names)}"
        )


def _train(folder: RunDir, config: dict[str, Any], place: Place, owner: int) -> int:
    console.say(summary.header(config, folder, console.width()))
    _forget_failure(folder, place)
    console.status("starting: importing torch and composer takes some seconds")
    try:
        code = run_ranks(folder, validate.ranks_per_node(config["hardware"]), place, owner)
    finally:
        console.status("")
    if code == EXIT_INTERRUPTED:
        console.say(f"stopped; the same command goes on from here: {folder.path}")
        return code
    result = folder.read_result()
    if code == EXIT_DONE and result is not None:
        console.say(summary.table(result, folder.path, console.width()))
        return EXIT_DONE
    failure = folder.read_failure() or {"error": _unexplained(folder, code)}
    console.complain(failure["error"])
    code = failure.get("exit_code", EXIT_FAILED)
    if code != EXIT_BAD_REQUEST:
        console.say(f"log: {folder.rank_log(failure.get('rank', 0))}")
    return code


def _forget_failure(folder: RunDir, place: Place) -> None:
    """Remove the reason why an earlier try failed, but not that of another node in this one."""
    began = time.time() - environment.process_seconds()
    with contextlib.suppress(FileNotFoundError):
        if place.nodes == 1 or folder.failure.stat().st_mtime < began:
            folder.failure.unlink()


def _unexplained(folder: RunDir, code: int) -> str:
    if is_full(folder.path):
        return FULL.format(folder.path.parent)
    return f"the run ended without a result (exit code {code})"
