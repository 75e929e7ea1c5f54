"""Values that no run can use, whatever the machine: sizes, names, the entries of the open groups."""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from typing import Any, cast

from resnet_exp.config.checks import algorithm_values, import_check
from resnet_exp.config.fit import FITS
from resnet_exp.config.overrides.hydra_errors import switched_off
from resnet_exp.config.schema import (
    OPEN_GROUPS,
    TARGET,
    DataConfig,
    DatasetConfig,
    Entries,
    Entry,
    ResolutionConfig,
    RunConfig,
)
from resnet_exp.core.errors import RequestError
from resnet_exp.core.object_store import is_store
from resnet_exp.core.terminal.text import printable
from resnet_exp.data import formats
from resnet_exp.data.imagefolder.decoders import DECODERS, PILLOW

BLOCKS = ("basic", "bottleneck")
# Names in ``composer.loss`` and ``composer.models.Initializer``; a test compares them with Composer's.
LOSSES = ("soft_cross_entropy", "binary_cross_entropy_with_logits")
INITIALIZERS = (
    "kaiming_normal", "kaiming_uniform", "bn_uniform", "bn_ones", "xavier_uniform", "xavier_normal",
    "linear_log_constant_bias",
)  # fmt: skip
# Size at which training images are loaded: full, or the size of progressive resizing.
DECODES = ("full", "scheduled")
# What Composer reads as the end of a path, as that of a URL, or as the name of a value, as in ``ep{epoch}``.
NO_CHECKPOINTS = re.compile(r"[#?{}\t\r\n]")
RUN_ID = re.compile(r"[A-Za-z0-9][\w.+-]*")
# W&B takes no longer ids and groups; a file's name may have 255, with what we add to it.
MOST_NAME_BYTES = 128


def check(config: RunConfig) -> None:
    """Check a resolved configuration; raises `RequestError` on the first thing that is wrong."""
    _check_names(config)
    _check_model(config)
    _check_open_groups(config)
    _check_resolution(config.resolution)
    algorithm_values.check(config)
    _check_dataset(config.dataset)
    _check_data(config.data, config.algorithms)


def check_name(key: str, name: str, what: str) -> None:
    """Refuse a `name` that no file system and no tracker takes; `what` it would name, ``a folder`` or ``a file``."""
    if not RUN_ID.fullmatch(name):
        raise RequestError(f"{key}={name} cannot name {what}; use letters, digits and . _ + -")
    if (length := len(name.encode())) > MOST_NAME_BYTES:
        shown = f"{name[:20]}..."
        raise RequestError(f"{key}={shown} of {length} characters is too long; use {MOST_NAME_BYTES} or fewer")


def _check_names(config: RunConfig) -> None:
    if config.run_id:
        check_name("run_id", config.run_id, "a folder")
    if config.sweep:
        check_name("sweep", config.sweep, "a file")
    for key, path in (("runs_dir", config.runs_dir), ("data.cache_dir", config.data.cache_dir)):
        if not path:
            raise RequestError(f"{key} is empty; use {key}=PATH")
    if found := NO_CHECKPOINTS.search(config.runs_dir):
        raise RequestError(
            f"runs_dir={printable(config.runs_dir)}: no checkpoint can be kept below a folder with {found[0]!r} in "
            "its name; set runs_dir=PATH"
        )
    _check_mirror(config.mirror)


def _check_mirror(mirror: str | None) -> None:
    if mirror is not None and not is_store(mirror):
        raise RequestError(
            f"mirror={printable(mirror)} is not a folder of an object store; use a URL such as s3://BUCKET/FOLDER, or "
            "for a disk that machines share, runs_dir=PATH alone"
        )


def _check_model(config: RunConfig) -> None:
    model, dataset = config.model, config.dataset
    _one_of("model.block", model.block, BLOCKS)
    _one_of("model.loss", model.loss, LOSSES)
    for initializer in model.initializers:
        _one_of("model.initializers", initializer, INITIALIZERS)
    if model.num_classes < 2:
        raise RequestError(f"model.num_classes={model.num_classes}: a classifier needs 2 classes or more")
    if model.num_classes != dataset.num_classes:
        raise RequestError(
            f"model.num_classes={model.num_classes} differs from the {dataset.num_classes} classes of "
            f"dataset={dataset.name}; leave model.num_classes out"
        )
    for key, number in (("groups", model.groups), ("width_per_group", model.width_per_group)):
        if number < 1:
            raise RequestError(f"model.{key}={number} must be 1 or more")
    if model.block == "basic" and (model.groups, model.width_per_group) != (1, 64):
        raise RequestError(
            f"model.block=basic has neither groups nor width (model.groups={model.groups}, model.width_per_group="
            f"{model.width_per_group}); use model.block=bottleneck, or 1 and 64"
        )
    if len(model.layers) != 4 or min(model.layers) < 1:
        raise RequestError(f"model.layers={model.layers}: use four numbers of blocks, such as [3,4,6,3]")
    optimizer = config.optimizer
    rates = (("lr", optimizer.lr), ("momentum", optimizer.momentum), ("weight_decay", optimizer.weight_decay))
    for key, value in rates:
        if not (math.isfinite(value) and value >= 0):
            raise RequestError(f"optimizer.{key}={value} must be 0 or more")


def _one_of(key: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RequestError(f"{key}={value} is unknown; use one of {', '.join(allowed)}")


def _check_open_groups(config: RunConfig) -> None:
    entries = dict(config.entries())
    for group in OPEN_GROUPS:
        for name in getattr(config, group):
            if f"{group}.{name}" not in entries:
                raise RequestError(switched_off(group, name, getattr(config, group)[name]))
            check_target(f"{group}.{name}", entries[f"{group}.{name}"][TARGET])
    if "data.loader" not in entries:
        raise RequestError("data.loader has no _target_; name the function that makes the loader")
    check_target("data.loader", config.data.loader[TARGET])
    for name, entry in config.loggers.items():
        check_logger(name, entry)
    names = [algorithm_values.known_class(entry) for entry in config.algorithms.values()]
    found = formats.format_of(config.data.loader)
    if found is formats.IMAGE_FOLDER:
        _one_of("data.loader.decoder", config.data.loader.get("decoder", PILLOW), DECODERS)
    if "RandAugment" in names and not (found and found.augments):
        augmenting = "|".join(one.name for one in formats.ALL if one.augments)
        raise RequestError(
            f"data={config.data.name} cannot run algorithms.randaugment; "
            f"use data={augmenting} or ~algorithms.randaugment"
        )


def _check_resolution(sizes: ResolutionConfig) -> None:
    for key, pixels in asdict(sizes).items():
        if pixels < 8:
            raise RequestError(f"resolution.{key}={pixels} is too small; use 8 pixels or more")
    if sizes.eval_resize < sizes.eval_crop:
        raise RequestError(
            f"resolution.eval_resize={sizes.eval_resize} is smaller than resolution.eval_crop={sizes.eval_crop}"
            "; use the same or more"
        )


def _check_dataset(dataset: DatasetConfig) -> None:
    _one_of("dataset.fit", dataset.fit, FITS)
    for key, low_high in (("crop_scale", dataset.crop_scale), ("crop_ratio", dataset.crop_ratio)):
        if len(low_high) != 2 or not 0 < low_high[0] <= low_high[1]:
            raise RequestError(f"dataset.{key}={low_high}: use [smallest,largest], both above 0")
    for key, numbers in (("mean", dataset.mean), ("std", dataset.std)):
        least = 0 if key == "mean" else 1e-6
        if len(numbers) != 3 or not all(math.isfinite(number) and number >= least for number in numbers):
            wanted = "0 to 255" if key == "mean" else "above 0"
            raise RequestError(f"dataset.{key}={numbers}: use three numbers for red, green and blue, {wanted}")


def _check_data(data: DataConfig, algorithms: Entries) -> None:
    _one_of("data.decode", data.decode, DECODES)
    mode = algorithms.get("progressive_resizing", {}).get("mode", "resize")
    if data.decode == "scheduled" and mode != "resize":
        raise RequestError(
            f"data.decode=scheduled cannot do algorithms.progressive_resizing.mode={mode}; use data.decode=full"
        )
    if data.prefetch_factor < 1:
        raise RequestError(f"data.prefetch_factor={data.prefetch_factor} must be 1 or more")
    if data.num_workers is not None and data.num_workers < 0:
        raise RequestError(f"data.num_workers={data.num_workers} must be 0 or more (null: as many as fit the machine)")


def check_target(key: str, target: object) -> None:
    """Check a ``_target_`` without importing it; raises a `RequestError` that names `key` if it cannot be used."""
    if why := import_check.why_not(str(target)):
        raise RequestError(f"{key}._target_={target} {why}")
    if package := import_check.missing_package(str(target)):
        raise RequestError(f"{key} needs the package {package}; install it: pip install 'resnet_exp[{package}]'")


WANDB = "resnet_exp.loggers.wandb_logger.WeightsAndBiases"
ROWS = "resnet_exp.loggers.rows.Rows"
ARTIFACTS = ("result", "weights", "checkpoint")
FORMATS = ("csv", "jsonl")
# A day: longer than anyone waits, and within the limits of Python's timeouts.
MOST_SECONDS = 86400


def check_logger(name: str, entry: Entry) -> None:
    """Check one entry of ``loggers``; raises `RequestError` on the first setting that is wrong."""
    if entry["_target_"] == ROWS and "format" in entry:
        _one_of(f"loggers.{name}.format", entry["format"], FORMATS)
    if entry["_target_"] == WANDB:
        _check_wandb(f"loggers.{name}", entry)


def _check_wandb(key: str, entry: Entry) -> None:
    artifacts = entry.get("artifacts", [])
    if not isinstance(artifacts, list):
        raise RequestError(f"{key}.artifacts={artifacts}: use a list such as [{ARTIFACTS[0]}]")
    for artifact in cast(list[Any], artifacts):
        _one_of(f"{key}.artifacts", artifact, ARTIFACTS)
    for wait in ("init_seconds", "finish_seconds"):
        seconds = entry.get(wait, 1)
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds)
        # W&B's client treats a finish timeout of 0 seconds as no timeout.
        if not is_number or not 0 < seconds <= MOST_SECONDS:
            raise RequestError(f"{key}.{wait}={seconds}: use a number of seconds above 0, at most {MOST_SECONDS}")
