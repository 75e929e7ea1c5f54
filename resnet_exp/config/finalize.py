"""Fill in what depends on the machine, and check the configuration. Nothing is written."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from resnet_exp.config import fit, identity, initial_weights
from resnet_exp.config.checks.validate import validate
from resnet_exp.config.checks.values import check_name
from resnet_exp.config.overrides import no_effect
from resnet_exp.config.overrides.hydra_errors import explain_error, unresolved_key
from resnet_exp.config.own_price import mark_own_prices
from resnet_exp.config.schema import (
    NAMED_DATASETS,
    ORIGINAL_DEVICE_BATCH,
    DataConfig,
    PlainValues,
    RunConfig,
    part_config,
    run_config,
)
from resnet_exp.core import paths
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.machine import devices
from resnet_exp.core.machine.devices import Gpu
from resnet_exp.core.object_store import is_url
from resnet_exp.data import formats
from resnet_exp.data.conversion.files import Known
from resnet_exp.data.images import image_tree, shipped
from resnet_exp.data.images.small_set import small_set

PATHS = (
    *("runs_dir", "mirror", "dataset.dir", "data.cache_dir", "init_from"),
    *("data.loader.train_file", "data.loader.val_file", "data.loader.remote"),
)


def finalize(composed: DictConfig, overrides: list[str] | None = None) -> RunConfig:
    """Resolve, complete and validate a composed configuration.

    Args:
        composed: what Hydra composed.
        overrides: the command line's overrides, to tell the user's settings from unused ones of a recipe.

    Returns:
        The configuration of a run, plain values only, with a ``run_id``.

    Raises:
        RequestError: a value is missing, invalid, or in conflict with another one.
    """
    overrides = overrides or []
    return finish(fill_in(close(composed, overrides)), overrides)


def close(composed: DictConfig, overrides: list[str]) -> DictConfig:
    """The first part of `finalize`: a copy with only the keys of the schema, without unused settings of a recipe.

    Raises:
        RequestError: a key is unknown, or one of the overrides has no effect.
    """
    closed = _closed(composed)
    no_effect.refuse_words(overrides, closed.dataset.name, closed.hardware.device)
    with open_dict(closed.algorithms):
        for name in unused_settings(closed, overrides):
            del closed.algorithms[name]
    return closed


def fill_in(closed: DictConfig) -> PlainValues:
    """The second part of `finalize`: fill in what depends on the machine and the dataset, resolve; changes `closed`.

    It reads values only as nodes of `closed`, so that `resnet_exp.sweep.composition` can observe which keys are read.
    """
    try:
        _require(closed)
        _expand_paths(closed)
        _find_hardware(closed)
        _count_classes(closed)
        _fit(closed)
        # First, because other values are resolved from it, such as the folders of trackers.
        closed.runs_dir = closed.runs_dir and _literal(os.path.abspath(closed.runs_dir))
        return _resolved(closed)
    except OmegaConfBaseException as error:
        raise RequestError(explain_error(error, key=unresolved_key(closed))) from error


def finish(filled: PlainValues, overrides: Sequence[str]) -> RunConfig:
    """The last part of `finalize`: absolute paths, validation, the run id; it may reuse objects of `filled`."""
    config = run_config(filled)
    mark_own_prices(config.hardware, overrides)
    _make_absolute(config)
    config.init_digest = None if config.init_from is None else initial_weights.digest(config.init_from)
    if (in_the_box := shipped.ALL.get(config.dataset.name)) is not None:
        if formats.format_of(config.data.loader) is formats.PARQUET:
            raise RequestError(
                f"data=parquet: {in_the_box.title} are image files; name Parquet files with dataset.dir=PATH"
            )
        config.dataset.dir = str(in_the_box.folder_below(config.data.cache_dir))
    validate(config)
    if not config.run_id:
        config.run_id = identity.run_id(config)
        check_name(f"recipe={config.recipe} hardware.name={config.hardware.name}: run_id", config.run_id, "a folder")
    return config


def _resolved(config: DictConfig) -> PlainValues:
    """Nested plain values, resolved; raises OmegaConf's error if one is missing or cannot be resolved."""
    return cast(PlainValues, _plain(config))


def _plain(value: object) -> object:
    # Each reader of a key resolves it: in OmegaConf 2.4, `OmegaConf.to_container` keeps what it has resolved, and the
    # readers after the first one could not be observed.
    if isinstance(value, DictConfig):
        return {key: _plain(value[key]) for key in value}
    if isinstance(value, ListConfig):
        return [_plain(item) for item in value]
    return value


def _expand_paths(closed: DictConfig) -> None:
    for key in PATHS:
        path = OmegaConf.select(closed, key)
        if isinstance(path, str) and (path.startswith("~") or "$" in path):
            OmegaConf.update(closed, key, _literal(paths.expanded(key, path)))


def _literal(text: str) -> str:
    """A text that OmegaConf does not take for the value of another key."""
    return text.replace("${", "\\${")


def _make_absolute(config: RunConfig) -> None:
    """Make paths absolute: neither a run folder nor the images of an id may depend on the working directory."""
    dataset, data = config.dataset, config.data
    if dataset.dir and not is_url(dataset.dir):
        dataset.dir = os.path.abspath(dataset.dir)
    data.cache_dir = data.cache_dir and os.path.abspath(data.cache_dir)
    if config.init_from is not None and initial_weights.weights_file(config.init_from) is not None:
        config.init_from = os.path.abspath(config.init_from)
    for key in (f"{split}_file" for split in image_tree.SPLITS):
        if data.loader.get(key):
            data.loader[key] = os.path.abspath(data.loader[key])


def _closed(composed: DictConfig) -> DictConfig:
    """A copy that accepts only keys of the schema: Hydra's ``+key=value`` can add any key."""
    try:
        closed = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.to_container(composed))
    except OmegaConfBaseException as error:
        raise RequestError(explain_error(error)) from error
    assert isinstance(closed, DictConfig)
    return closed


def _require(composed: DictConfig) -> None:
    for key, fix in (("recipe", "recipe=baseline|mild|medium|hot"), ("dataset.dir", "dataset.dir=PATH")):
        try:
            OmegaConf.select(composed, key, throw_on_missing=True)
        except MissingMandatoryValue:
            raise RequestError(f"{key} is not set; use {fix}") from None


def unused_settings(composed: DictConfig, overrides: list[str]) -> list[str]:
    """Algorithms with settings in some file that are not switched on, such as those of a recipe that this one extends.

    Settings from the command line itself are a mistake instead, which `validate` refuses.
    """
    asked = {re.split(r"[.=]", override.lstrip("+~"))[1] for override in overrides if "algorithms." in override}
    off = [name for name, entry in composed.algorithms.items() if OmegaConf.is_dict(entry) and "_target_" not in entry]
    return [name for name in off if name not in asked]


def _find_hardware(composed: DictConfig) -> None:
    hardware = composed.hardware
    if hardware.device == "auto":
        gpus = _found_gpus()
        hardware.name = devices.slug(gpus)
        hardware.device = "gpu" if gpus else "cpu"
        hardware.devices = len(gpus)
        if gpus:
            hardware.cpus = devices.usable_cpus()
            hardware.gpu = gpus[0].name
    if hardware.precision == "auto":
        hardware.precision = "amp_fp16" if hardware.device == "gpu" else "fp32"
    if hardware.device == "gpu" and hardware.device_train_microbatch_size is None:
        ranks = max(1, hardware.devices * hardware.nodes)
        if composed.train_batch_size // ranks > ORIGINAL_DEVICE_BATCH:
            hardware.device_train_microbatch_size = str(ORIGINAL_DEVICE_BATCH)


def _found_gpus() -> list[Gpu]:
    gpus, fault = devices.visible_gpus(), devices.driver_fault()
    if fault is not None:
        raise RequestError(
            f"hardware=auto: NVIDIA's driver is loaded, but NVML does not work ({fault}); mend the driver, give the "
            "container NVIDIA_DRIVER_CAPABILITIES=compute,utility, or use hardware=cpu"
        )
    if len({gpu.name for gpu in gpus}) > 1:
        names = ", ".join(f"{number}: {gpu.name}" for number, gpu in enumerate(gpus))
        raise RequestError(f"hardware=auto: this machine has GPUs that differ ({names}); set CUDA_VISIBLE_DEVICES")
    return gpus


def _count_classes(composed: DictConfig) -> None:
    dataset = composed.dataset
    if dataset.num_classes is None and (known := _known(composed)) is not None:
        dataset.num_classes = len(known.classes)
    if dataset.num_classes is None:
        dataset.num_classes = len(_class_names(composed))


def _class_names(composed: DictConfig) -> list[str]:
    folder, remote = composed.dataset.dir, composed.data.loader.get("remote")
    try:
        names = image_tree.class_names(image_tree.folder(folder) / "train")
    except RequestError as error:
        if remote:
            raise RequestError(f"{error}, or data.loader.remote={remote} a train.json with the classes") from error
        raise
    root = image_tree.folder(folder)
    if not names:
        raise RequestError(image_tree.no_classes(root / "train", root))
    if len(names) == 1:
        raise RequestError(
            f"dataset.dir: {root / 'train'} holds one class, {names[0]}; a classifier needs two or more: add a folder "
            "for each of the others"
        )
    return names


def _fit(composed: DictConfig) -> None:
    """Find out what `resnet_exp.config.fit` goes by, and note which values it changes."""
    dataset = composed.dataset
    for key in ("train_images", "image_side"):
        if dataset[key] is not None and dataset[key] < 1:
            raise RequestError(f"dataset.{key}={dataset[key]} must be 1 or more")
    if dataset.name not in NAMED_DATASETS:
        images, side = _size(composed)
        dataset.train_images = images if dataset.train_images is None else dataset.train_images
        dataset.image_side = side if dataset.image_side is None else dataset.image_side
    images, dataset.train_images = dataset.train_images, None
    recipe = fit.values_of(composed)
    dataset.train_images = images
    fitted = fit.values_of(composed)
    with open_dict(dataset.fitted):
        dataset.fitted = {key: value for key, value in recipe.items() if fitted[key] != value}


def _size(composed: DictConfig) -> tuple[int | None, int | None]:
    """Training images of a small data set and their size, see `fit.Facts`; None if not known, or not small."""
    try:
        known = _known(composed)
    except (RequestError, RunFailed):
        return None, None  # who needs the images says what is wrong with them
    if known is not None:
        small = known.images is not None and known.images < fit.SMALL
        return (known.images, known.side) if small else (None, None)
    root = composed.dataset.dir
    return (None, None) if root is None else small_set(Path(root) / "train", fit.SMALL) or (None, None)


def _known(composed: DictConfig) -> Known | None:
    data = part_config(DataConfig, _resolved(composed.data))
    return formats.known(data.loader, data.cache_dir, composed.dataset.dir or "")
