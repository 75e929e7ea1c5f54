"""Prepare the data of a run: check it, and write what is written once."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

from resnet_exp.config.checks import workers
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.terminal import console
from resnet_exp.core.terminal.text import byte_size
from resnet_exp.data import formats
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.images import digits, image_tree
from resnet_exp.launch.dataset import scan_of, write_data_set
from resnet_exp.runs.environment import read_environment, write_environment
from resnet_exp.runs.folder import RunFolder

# Where loader workers put their batches; Docker's default has 64 MB of it.
SHARED = Path("/dev/shm")


def describe_data(folder: RunFolder, config: RunConfig) -> None:
    """Record the classes and images of a run, and which converted images it uses.

    Raises:
        RequestError: the run would go on with other images than it began with.
    """
    write_data_set(replace(config, runs_dir=str(folder.path.parent), run_id=folder.path.name))
    if (files := formats.files_of(config.data.loader, config.data.cache_dir)) is not None:
        facts = files.facts(config.dataset.root)
        write_environment(folder, replace(read_environment(folder), data=facts))


def prepare_data(config: RunConfig, most_skipped: int = 0) -> None:
    """Check the dataset, and write what is written once: the digits, converted images.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.
        most_skipped: up to this many images that cannot be converted are skipped.

    Raises:
        RequestError: the data does not match the configuration, or there is no room for it.
        RunFailed: the conversion failed.
    """
    data, dataset = config.data, config.dataset
    _check_shared_memory(config)
    if formats.format_of(data.loader) is formats.SYNTHETIC:
        return
    if dataset.name == "digits":
        digits.prepare(data.cache_dir)
    # A user's own format prepares its data itself.
    if formats.needs_folder(data.loader, data.cache_dir):
        _check_tree(config)
        _note_left_out(config)
    if (files := formats.files_of(data.loader, data.cache_dir)) is not None:
        options = ConversionOptions(usable_cpus(), console.say, most_skipped, dataset.num_classes)
        files.prepare(dataset.root, options)


def _check_shared_memory(config: RunConfig) -> None:
    need = workers.shared_bytes(config)
    free = shutil.disk_usage(SHARED).free if SHARED.is_dir() else 0
    if free < need:
        gigabytes = math.ceil(need / 2**30)
        raise RequestError(
            f"{SHARED} has {byte_size(free)} free, data.num_workers={workers.num_workers(config)} needs up to "
            f"{byte_size(need)}; start the container with --shm-size={gigabytes}g or --ipc=host, or use "
            "data.num_workers=0"
        )


def _note_left_out(config: RunConfig) -> None:
    """Say what the image folder holds beside classes and images, if the folder is read at all."""
    left_out = image_tree.LeftOut()
    for split in image_tree.SPLITS:
        if (scan := scan_of(config, split)) is not None:
            left_out.add(scan.left_out)
    for line in left_out.notes():
        console.say(line)


def _check_tree(config: RunConfig) -> None:
    dataset = config.dataset
    names = image_tree.check_tree(dataset.root, config.train_batch_size, dataset.min_images_per_class)
    if len(names) != dataset.num_classes:
        raise RequestError(
            f"dataset.dir={dataset.dir} has {len(names)} classes, dataset={dataset.name} says "
            f"{dataset.num_classes}; use dataset=imagefolder or dataset.num_classes={len(names)}"
        )
