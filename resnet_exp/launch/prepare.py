"""Make the data of a run ready: checks, and what is written once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from resnet_exp.core import console
from resnet_exp.core.devices import usable_cpus
from resnet_exp.core.errors import RequestError
from resnet_exp.data import digits, formats, image_tree
from resnet_exp.data.conversion.process import ConversionOptions
from resnet_exp.data.formats import FOLDER_FORMAT, SYNTHETIC
from resnet_exp.runs.environment import read_environment, write_environment
from resnet_exp.runs.folder import RunFolder


def describe_data(folder: RunFolder, config: dict[str, Any]) -> None:
    """Note in ``environment.json`` which converted images a run uses, and the names of their classes."""
    if (converted := formats.format_of(config["data"])) is not None:
        settings = formats.settings_of(config["data"])
        facts = converted.facts(config["dataset"]["dir"] or "", settings)
        write_environment(folder, replace(read_environment(folder), data=facts))


def prepare_data(config: dict[str, Any], most_skipped: int = 0) -> None:
    """Check the dataset, and write what is written once: the digits, converted images.

    Args:
        config: of `resnet_exp.config.finalize.finalize`.
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
    converted = formats.format_of(data)
    if converted is None:
        if data["loader"]["_target_"] == FOLDER_FORMAT:
            _check_tree(config)
        return
    settings = formats.settings_of(data)
    if converted.needs_folder(settings):
        _check_tree(config)
    terms = ConversionOptions(usable_cpus(), console.say, most_skipped, dataset["num_classes"])
    converted.prepare(dataset["dir"] or "", settings, terms)


def _check_tree(config: dict[str, Any]) -> None:
    dataset = config["dataset"]
    names = image_tree.check_tree(dataset["dir"], config["train_batch_size"], dataset["min_images_per_class"])
    if len(names) != dataset["num_classes"]:
        raise RequestError(
            f"dataset.dir={dataset['dir']} has {len(names)} classes, dataset={dataset['name']} says "
            f"{dataset['num_classes']}; use dataset=imagefolder or dataset.num_classes={len(names)}"
        )
