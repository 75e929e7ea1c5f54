"""The images that a model is evaluated on: those of its run, or what the words of a command line say."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from resnet_exp.config import resolvers
from resnet_exp.config.checks import validate
from resnet_exp.config.finalize import finalize
from resnet_exp.config.overrides.hydra_errors import explain_error
from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import setting
from resnet_exp.data.images import image_tree, shipped
from resnet_exp.inference.models import Model

# The split that an evaluation reads.
READ = ("val",)
# What an evaluation reads of a configuration.
IMAGES = ("dataset", "data")
SIZES = ("resolution.eval_resize", "resolution.eval_crop")
TAKEN = (*IMAGES, *SIZES, "eval_batch_size", "hardware", "runs_dir")


def evaluation_config(model: Model, words: Sequence[str]) -> RunConfig:
    """The configuration of an evaluation.

    Args:
        model: whose run says what `words` leave open.
        words: overrides as on the command line, such as ``dataset=imagenet``.

    Raises:
        RequestError: a word is wrong, or has no effect.
    """
    _refuse_idle(words)
    run, described = model.run, model.description
    asked = {word.lstrip("+").partition("=")[0] for word in words}
    composed = _compose([*_defaults(model, words, asked), *words, "recipe=baseline"], asked)
    if run is not None and not any(_is_of(key, IMAGES) for key in asked):
        composed = replace(composed, dataset=run.dataset, data=run.data)
    sizes = replace(
        composed.resolution,
        **{f"eval_{name}": value for name, value in (("resize", described.resize), ("crop", described.crop))
           if f"resolution.eval_{name}" not in asked},
    )  # fmt: skip
    hardware, batch = _of_this_process(composed.hardware), composed.eval_batch_size
    if run is not None and hardware.device == run.hardware.device and "hardware.precision" not in asked:
        hardware = replace(hardware, precision=run.hardware.precision)
    if run is not None and "eval_batch_size" not in asked:
        batch = run.eval_batch_size
    config = replace(
        composed,
        dataset=replace(composed.dataset, mean=list(described.mean), std=list(described.std), min_images_per_class=1),
        resolution=sizes,
        hardware=hardware,
        eval_batch_size=batch,
        train_batch_size=hardware.world_size,
        algorithms={} if run is None else run.algorithms,
        model=replace(composed.model, num_classes=composed.dataset.num_classes or 0),
    )
    validate.check_devices(hardware)
    return config


def _of_this_process(hardware: HardwareConfig) -> HardwareConfig:
    """One device for this process, and for each other one that ``torchrun`` has started."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", str(ranks)))
    return replace(hardware, devices=0 if hardware.device == "cpu" and here == 1 else here, nodes=ranks // here)


def _compose(words: Sequence[str], asked: Collection[str]) -> RunConfig:
    resolvers.register()
    try:
        with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
            composed = compose("config", list(words))
            if (val := _val_alone(composed)) is not None:
                # A conversion would need train.
                composed = compose("config", [*words, *["data=imagefolder"] * ("data" not in asked)])
                composed.dataset.num_classes = composed.dataset.num_classes or len(image_tree.class_names(val))
            return finalize(composed, list(words))
    except (HydraException, OmegaConfBaseException) as error:
        raise RequestError(explain_error(error, words)) from error


def _val_alone(composed: DictConfig) -> Path | None:
    """``val/`` of a folder without ``train/``, which an evaluation of image files does without."""
    folder = OmegaConf.select(composed, "dataset.dir")
    if folder is None:
        return None
    train, val = (Path(paths.expanded("dataset.dir", folder)) / split for split in image_tree.SPLITS)
    return val if val.is_dir() and not train.exists() else None


def _is_of(key: str, groups: Iterable[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def _refuse_idle(words: Sequence[str]) -> None:
    for word in words:
        if "=" not in word:
            raise RequestError(
                f"{word} is not key=value; name one model, then what to evaluate it on: dataset.dir=PATH"
            )
        if not _is_of(word.lstrip("+").partition("=")[0], TAKEN):
            raise RequestError(f"{word} has no effect in an evaluation; it takes {', '.join(TAKEN)}")


def _defaults(model: Model, words: Sequence[str], asked: Collection[str]) -> list[str]:
    """Words for what the user leaves open, beside what the run says itself."""
    run = model.run
    if run is None or not any(_is_of(key, IMAGES) for key in asked):
        found = ["dataset=imagefolder" if "dataset.dir" in asked else "dataset=digits", "data=imagefolder"]
        return [word for word in found if word.partition("=")[0] not in asked]
    name = next((word.partition("=")[2] for word in words if word.startswith("dataset=")), run.dataset.name)
    if name in shipped.ALL and "dataset.dir" in asked:
        name = "imagefolder"
    found = {"dataset": name, "data": run.data.name, "data.cache_dir": run.data.cache_dir}
    if name == run.dataset.name and name not in shipped.ALL and run.dataset.dir:
        found["dataset.dir"] = run.dataset.dir
    # As Hydra reads them, not a shell.
    return [shlex.split(setting(key, value))[0] for key, value in found.items() if key not in asked]
