"""The front's half of a run: own the folder, prepare the data, start the ranks, see them end."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from resnet_exp import check, checkpoints, console, digits, environment, rundir, summary, tree
from resnet_exp.data import ffcv_files
from resnet_exp.devices import usable_cpus
from resnet_exp.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError
from resnet_exp.ranks import run_ranks
from resnet_exp.rundir import RunDir

# The formats that read an image folder; those of users look after their data themselves.
FOLDER_FORMATS = (ffcv_files.LOADER, "resnet_exp.data.imagefolder.make_loader")
SYNTHETIC = "resnet_exp.data.synthetic.make_loader"


def run(config: dict[str, Any]) -> int:
    """Carry out a finalized configuration and return the exit code.

    A finished run is not run again: its result is shown. A broken one goes on from its last checkpoint.

    Raises:
        RequestError: the run cannot start; nothing was started.
        RunFailed: the data could not be prepared.
    """
    folder = RunDir(Path(config["runs_dir"]).absolute() / config["run_id"])
    if (result := folder.read_result()) is not None:
        console.say(f"done already: {folder.path}")
        console.say(summary.table(result, folder.path, console.width()))
        return EXIT_DONE
    check.check_devices(config["hardware"])
    _check_nodes(config["hardware"])
    checkpoints.check(folder)
    new = not folder.path.exists()
    owner = _own(folder)
    try:
        try:
            prepare_data(config)
            _describe(folder, config)
        except BaseException:
            _discard(folder, new)
            raise
        code = _train(folder, config, owner)
        if code == EXIT_BAD_REQUEST:
            _discard(folder, new)
        return code
    finally:
        os.close(owner)


def resume(folder: RunDir, config: dict[str, Any]) -> int:
    """Run a folder that has a configuration; see `run`."""
    return run({**config, "runs_dir": str(folder.path.parent), "run_id": folder.path.name})


def _check_nodes(hardware: dict[str, Any]) -> None:
    if hardware["nodes"] > 1:
        raise RequestError(
            f"hardware.nodes={hardware['nodes']} cannot be started from one machine; use hardware.nodes=1 here"
        )


def _own(folder: RunDir) -> int:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        return rundir.acquire(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.path.rmdir()  # which removes only an empty one
        raise _unwritable(folder, error) from error


def _describe(folder: RunDir, config: dict[str, Any]) -> None:
    try:
        rundir.write_text(folder.config, OmegaConf.to_yaml(OmegaConf.create(config)))
        environment.update(folder, environment.of_launcher())
    except OSError as error:
        raise _unwritable(folder, error) from error


def _discard(folder: RunDir, new: bool) -> None:
    """Remove the folder of a refused run, unless an earlier try has left something in it."""
    if new and not folder.latest_checkpoint.exists():
        shutil.rmtree(folder.path, ignore_errors=True)


def _unwritable(folder: RunDir, error: OSError) -> RequestError:
    return RequestError(f"runs_dir={folder.path.parent} cannot be written ({error.strerror}); set runs_dir=PATH")


def prepare_data(config: dict[str, Any]) -> None:
    """Check the dataset, and write what is written once: the digits, the FFCV files. Sets ``dataset.dir`` of digits."""
    data, dataset = config["data"], config["dataset"]
    if data["loader"]["_target_"] == SYNTHETIC:
        return
    if dataset["name"] == "digits":
        dataset["dir"] = digits.prepare(data["cache_dir"])
    files = ffcv_files.settings_of(data)
    converted = files is not None and files["train_file"] and files["val_file"]
    if data["loader"]["_target_"] in FOLDER_FORMATS and not converted:
        _check_tree(config)
    if files is not None:
        ffcv_files.prepare(dataset["dir"] or "", files, usable_cpus(), console.say)


def _check_tree(config: dict[str, Any]) -> None:
    dataset = config["dataset"]
    names = tree.check(dataset["dir"], config["train_batch_size"], dataset["min_images_per_class"])
    if len(names) != dataset["num_classes"]:
        raise RequestError(
            f"dataset.dir={dataset['dir']} has {len(names)} classes, dataset={dataset['name']} says "
            f"{dataset['num_classes']}; use dataset=imagefolder or dataset.num_classes={len(names)}"
        )


def _train(folder: RunDir, config: dict[str, Any], owner: int) -> int:
    console.say(summary.header(config, folder, console.width()))
    with contextlib.suppress(FileNotFoundError):
        folder.failure.unlink()
    console.status("starting: importing torch and composer takes some seconds")
    try:
        code = run_ranks(folder, check.ranks_per_node(config["hardware"]), config["hardware"]["nodes"], owner)
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


def _unexplained(folder: RunDir, code: int) -> str:
    if rundir.is_full(folder.path):
        return rundir.FULL.format(folder.path.parent)
    return f"the run ended without a result (exit code {code})"
