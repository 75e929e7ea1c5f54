"""Prepare the data of a run: check it, and write what is written once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from resnet_exp.config.schema import NAMED_DATASETS, DatasetConfig, RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine.devices import usable_cpus
from resnet_exp.core.terminal import console
from resnet_exp.data import formats
from resnet_exp.data.conversion.process import ConversionOptions, Say
from resnet_exp.data.images import image_tree, shipped
from resnet_exp.data.images.image_tree import SPLITS
from resnet_exp.launch.dataset import scan_of, write_data_set
from resnet_exp.runs.environment import read_environment, write_environment
from resnet_exp.runs.folder import RunFolder


def describe_data(folder: RunFolder, config: RunConfig) -> None:
    """Record the classes and images of a run, and which converted images it uses.

    Raises:
        RequestError: the run would go on with other images than it began with.
    """
    write_data_set(replace(config, runs_dir=str(folder.path.parent), run_id=folder.path.name))
    if (files := formats.files_of(config.data.loader, config.data.cache_dir)) is not None:
        facts = files.facts(config.dataset.root)
        write_environment(folder, replace(read_environment(folder), data=facts))


def prepare_data(config: RunConfig, most_skipped: int = 0, splits: Sequence[str] = SPLITS) -> None:
    """Check the dataset, and write what is written once: a data set in the box, converted images.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.
        most_skipped: up to this many images that cannot be converted are skipped.
        splits: those that are read; a conversion reads both.

    Raises:
        RequestError: the data does not match the configuration, or there is no room for it.
        RunFailed: the conversion failed.
    """
    data, dataset = config.data, config.dataset
    if formats.format_of(data.loader) is formats.SYNTHETIC:
        return
    if (in_the_box := shipped.ALL.get(dataset.name)) is not None:
        in_the_box.prepare(data.cache_dir, console.status)
    check_images(config, console.say, splits)
    if (files := formats.files_of(data.loader, data.cache_dir)) is not None:
        options = ConversionOptions(usable_cpus(), console.say, most_skipped, dataset.num_classes, splits)
        files.prepare(dataset.root, options)


def check_images(config: RunConfig, say: Say, splits: Sequence[str] = SPLITS) -> None:
    """Check the image folder, if the data format reads one; a user's own format checks its data itself.

    `say` takes notes.

    Raises:
        RequestError: its classes or images do not match the configuration.
    """
    if formats.needs_folder(config.data.loader, config.data.cache_dir):
        _check_tree(config, splits)
        _note_left_out(config, say, splits)


def _note_left_out(config: RunConfig, say: Say, splits: Sequence[str]) -> None:
    """Say what the image folder holds beside classes and images, if the folder is read at all."""
    left_out = image_tree.LeftOut()
    for split in splits:
        if (scan := scan_of(config, split)) is not None:
            left_out.add(scan.left_out)
    for line in left_out.notes():
        say(line)


def _check_tree(config: RunConfig, splits: Sequence[str]) -> None:
    dataset = config.dataset
    # Before the number of images: who takes a small folder for ImageNet needs no smaller batch.
    found = len(image_tree.class_names(image_tree.folder(dataset.root) / splits[0]))
    if found not in (0, dataset.num_classes):
        raise RequestError(_other_classes(dataset, found))
    image_tree.check_tree(dataset.root, config.train_batch_size, dataset.min_images_per_class, splits)


def _other_classes(dataset: DatasetConfig, found: int) -> str:
    """What is said of a folder with another number of classes than the configuration has."""
    if dataset.name in NAMED_DATASETS:
        fix = f"leave out dataset={dataset.name}, or set dataset.num_classes={found}"
        return f"dataset.dir={dataset.dir} has {found} classes, dataset={dataset.name} {dataset.num_classes:,}; {fix}"
    given = f"dataset.num_classes={dataset.num_classes}"
    return f"{given} differs from the {found} classes of dataset.dir={dataset.dir}; leave it out"
