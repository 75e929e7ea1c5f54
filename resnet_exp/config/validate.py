"""Validate a composed configuration and fill in what depends on the machine. No torch, nothing is written."""

from __future__ import annotations

import math
import os
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from resnet_exp.config import values
from resnet_exp.config.hydra_errors import explain
from resnet_exp.config.schema import RunConfig
from resnet_exp.core import devices
from resnet_exp.core.errors import RequestError
from resnet_exp.data import digits, formats, image_tree
from resnet_exp.data.conversion.manifest import Manifest
from resnet_exp.runs import identity

PRECISIONS = ("fp32", "amp_fp16", "amp_bf16")
DURATION = re.compile(r"(\d+)(ep|ba)")
# The recipes' 2,048 images over 8 devices. A device with more takes them in parts, which fit its memory and have the
# original's BatchNorm statistics.
ORIGINAL_DEVICE_BATCH = 256
MAX_SSR = 1000  # 90,000 epochs: more is a slip of the keyboard
MAX_SEED = 2**32 - 1  # composer.utils.reproducibility.MAX_SEED


def finalize(composed: DictConfig, overrides: list[str] | None = None) -> dict[str, Any]:
    """Resolve, complete and validate a composed configuration.

    Args:
        composed: what Hydra composed.
        overrides: the command line's overrides, to tell settings that a user asked for from a recipe's leftovers.

    Returns:
        Plain nested dictionaries with a ``run_id``, ready for ``config.yaml``.

    Raises:
        RequestError: a value is missing, of no use, or at odds with another one.
    """
    return complete(close(composed, overrides or []))


def close(composed: DictConfig, overrides: list[str]) -> DictConfig:
    """The first half of `finalize`: a copy that holds only what the schema knows, without a recipe's leftovers."""
    closed = _closed(composed)
    with open_dict(closed.algorithms):
        for name in leftovers(closed, overrides):
            del closed.algorithms[name]
    return closed


def complete(closed: DictConfig) -> dict[str, Any]:
    """The second half of `finalize`: resolve, fill in and validate; changes `closed`."""
    _require(closed)
    _find_hardware(closed)
    _count_classes(closed)
    # First, for what is resolved from it, such as the places of trackers.
    closed.runs_dir = closed.runs_dir and os.path.abspath(closed.runs_dir)
    try:
        config = OmegaConf.to_container(closed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise RequestError(explain(error)) from error
    assert isinstance(config, dict)
    filled: dict[str, Any] = {str(key): value for key, value in config.items()}
    _make_absolute(filled)
    if filled["dataset"]["name"] == "digits":
        filled["dataset"]["dir"] = str(digits.folder_below(filled["data"]["cache_dir"]))
    validate(filled)
    filled["run_id"] = filled["run_id"] or identity.run_id(filled)
    return filled


def _make_absolute(config: dict[str, Any]) -> None:
    """A run folder must mean the same from every working directory, and its id the same images."""
    places = [
        (config["dataset"], "dir"),
        (config["data"], "cache_dir"),
        *((config["data"]["loader"], f"{split}_file") for split in image_tree.SPLITS),
    ]
    for group, key in places:
        if group.get(key):
            group[key] = os.path.abspath(group[key])


def _closed(composed: DictConfig) -> DictConfig:
    """A copy in which only what the schema knows can be: Hydra's ``+key=value`` adds anything."""
    try:
        closed = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.to_container(composed))
    except OmegaConfBaseException as error:
        raise RequestError(explain(error)) from error
    assert isinstance(closed, DictConfig)
    return closed


def _require(composed: DictConfig) -> None:
    for key, fix in (("recipe", "recipe=baseline|mild|medium|hot"), ("dataset.dir", "dataset.dir=PATH")):
        try:
            OmegaConf.select(composed, key, throw_on_missing=True)
        except MissingMandatoryValue:
            raise RequestError(f"{key} is not set; use {fix}") from None


def leftovers(composed: DictConfig, overrides: list[str]) -> list[str]:
    """Algorithms that some file has settings for and none switches on, such as those of a recipe that this one extends.

    Settings that the command line itself gives are no leftovers but a mistake, which `validate` refuses.
    """
    asked = {re.split(r"[.=]", override.lstrip("+~"))[1] for override in overrides if "algorithms." in override}
    off = [name for name, entry in composed.algorithms.items() if OmegaConf.is_dict(entry) and "_target_" not in entry]
    return [name for name in off if name not in asked]


def _find_hardware(composed: DictConfig) -> None:
    hardware = composed.hardware
    if hardware.device == "auto":
        gpus = devices.visible_gpus()
        hardware.name = devices.slug(gpus)
        hardware.device = "gpu" if gpus else "cpu"
        hardware.devices = len(gpus)
        hardware.cpus = devices.usable_cpus()
        if gpus:
            hardware.gpu = gpus[0].name
            if composed.train_batch_size // len(gpus) > ORIGINAL_DEVICE_BATCH:
                hardware.device_train_microbatch_size = str(ORIGINAL_DEVICE_BATCH)
    if hardware.precision == "auto":
        hardware.precision = "amp_fp16" if hardware.device == "gpu" else "fp32"


def _count_classes(composed: DictConfig) -> None:
    dataset = composed.dataset
    if dataset.num_classes is None and (manifest := _manifest(composed)) is not None:
        dataset.num_classes = len(manifest.classes)
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
    if not names:
        raise RequestError(f"dataset.dir: {folder}/train holds no class folders; {image_tree.LAYOUT}")
    return names


def _manifest(composed: DictConfig) -> Manifest | None:
    data = OmegaConf.to_container(composed.data)
    assert isinstance(data, dict)
    return formats.given_manifest({str(key): value for key, value in data.items()})


def validate(config: dict[str, Any]) -> None:
    """Check a resolved configuration; raises `RequestError` on the first thing that is wrong."""
    _validate_schedule(config)
    _validate_hardware(config["hardware"])
    _validate_batches(config)
    values.check(config)
    if (converted := formats.of(config["data"])) is not None:
        converted.check_settings(formats.settings_of(config["data"]))
    if config["model"]["sync_batchnorm"] and config["hardware"]["device"] == "cpu":
        raise RequestError(
            f"model.sync_batchnorm=true needs GPUs, hardware={config['hardware']['name']} has none; use "
            "model.sync_batchnorm=false"
        )
    if not 0 <= config["seed"] <= MAX_SEED:
        raise RequestError(f"seed={config['seed']} is out of range; use 0 to {MAX_SEED}")


def duration(text: str, key: str) -> tuple[int, str]:
    """Split ``90ep`` into 90 and ``ep``; `key` names the setting in the error."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise RequestError(f"{key}={text} is no duration; use whole epochs (90ep) or batches (56250ba)")
    return int(match[1]), match[2]


def scaled_duration(config: dict[str, Any]) -> tuple[int, str]:
    """Length of the run: ``max_duration * ssr``, truncated as Composer does (90 * 0.7 is 62.99..., so 62)."""
    length, unit = duration(config["schedule"]["max_duration"], "schedule.max_duration")
    return int(length * config["ssr"]), unit


def _validate_schedule(config: dict[str, Any]) -> None:
    ssr, schedule = config["ssr"], config["schedule"]
    full, _ = duration(schedule["max_duration"], "schedule.max_duration")
    if full < 1:
        raise RequestError(f"schedule.max_duration={schedule['max_duration']} must be at least 1ep or 1ba")
    if not 0 < ssr <= MAX_SSR:
        raise RequestError(
            f"ssr={ssr} must be above 0 and at most {MAX_SSR}; ssr=1 is the recipe's full {schedule['max_duration']}"
        )
    length, unit = scaled_duration(config)
    if length < 1:
        shortest = math.ceil(1e4 / full) / 1e4
        raise RequestError(f"ssr={ssr} leaves 0 of {schedule['max_duration']}; use ssr={shortest} or more")
    if duration(schedule["warmup"], "schedule.warmup")[1] == "ba" and unit == "ep":
        raise RequestError(f"schedule.warmup={schedule['warmup']} must be in epochs, as schedule.max_duration is")
    if not 0 <= schedule["alpha_f"] <= 1:
        raise RequestError(f"schedule.alpha_f={schedule['alpha_f']} must be between 0 and 1")
    for key in ("eval_interval", "checkpoint_interval"):
        if duration(config[key], key)[0] < 1:
            raise RequestError(f"{key}={config[key]} must be at least 1ep or 1ba")


def _validate_hardware(hardware: dict[str, Any]) -> None:
    name, device, precision = hardware["name"], hardware["device"], hardware["precision"]
    if device not in ("cpu", "gpu"):
        raise RequestError(f"hardware.device={device} is unknown; use cpu, gpu or auto")
    if precision not in PRECISIONS:
        raise RequestError(f"hardware.precision={precision} is unknown; use {', '.join(PRECISIONS)} or auto")
    if device == "cpu" and precision != "fp32":
        raise RequestError(f"hardware.precision={precision} needs a GPU, hardware={name} has none; use fp32 or auto")
    if device == "gpu" and hardware["devices"] < 1:
        raise RequestError(f"hardware.devices={hardware['devices']} with hardware={name}: use 1 or more GPUs")
    if device == "cpu" and hardware["devices"] < 0:
        raise RequestError(f"hardware.devices={hardware['devices']} must be 0 or more")
    if hardware["nodes"] < 1:
        raise RequestError(f"hardware.nodes={hardware['nodes']} must be 1 or more")
    microbatch = hardware["device_train_microbatch_size"]
    if microbatch not in (None, "auto") and not (str(microbatch).isdigit() and int(microbatch) > 0):
        raise RequestError(f"hardware.device_train_microbatch_size={microbatch}: use auto or a number of images")
    if microbatch == "auto" and device == "cpu":
        raise RequestError("hardware.device_train_microbatch_size=auto needs a GPU; use a number of images")


def ranks_per_node(hardware: dict[str, Any]) -> int:
    """Processes that a node runs: one a device; on a CPU one, unless ``hardware.devices`` asks for more."""
    return max(1, hardware["devices"])


def world_size(hardware: dict[str, Any]) -> int:
    """Number of ranks of a run."""
    return ranks_per_node(hardware) * hardware["nodes"]


def _validate_batches(config: dict[str, Any]) -> None:
    ranks = world_size(config["hardware"])
    for key in ("train_batch_size", "eval_batch_size"):
        size = config[key]
        if size < 1:
            raise RequestError(f"{key}={size} must be 1 or more")
        if size % ranks:
            nearest = max(ranks, size // ranks * ranks)
            raise RequestError(
                f"{key}={size} cannot be split over {ranks} devices (hardware={config['hardware']['name']}); "
                f"use a multiple of {ranks}, such as {nearest}"
            )


def notes(config: dict[str, Any]) -> list[str]:
    """What a user should know about a valid request before it costs time."""
    remarks = []
    info, ssr = config["recipe_info"], config["ssr"]
    above, up_to = info["ssr_above"], info["ssr_up_to"]
    if ssr < above or (up_to is not None and ssr > up_to):
        meant = f"above {above}" if up_to is None else f"{above} to {up_to}"
        remarks.append(f"ssr={ssr} is outside the range that recipe={config['recipe']} is meant for ({meant})")
    length, unit = scaled_duration(config)
    warmup, warmup_unit = duration(config["schedule"]["warmup"], "schedule.warmup")
    if unit == warmup_unit and length <= warmup:
        remarks.append(
            f"{length}{unit} never leave the warm-up of {warmup}{warmup_unit} (ssr does not scale it): "
            "the learning rate only rises, accuracy stays low"
        )
    if "stochastic_depth" in config["algorithms"] and config["model"]["block"] != "bottleneck":
        remarks.append(
            f"algorithms.stochastic_depth does nothing: model={config['model']['name']} has no bottleneck blocks"
        )
    if config["data"]["decode"] == "scheduled" and "progressive_resizing" not in config["algorithms"]:
        remarks.append(
            "data.decode=scheduled does nothing without algorithms.progressive_resizing, whose sizes it follows"
        )
    return remarks


def check_devices(hardware: dict[str, Any]) -> None:
    """Check that this machine has what the configuration wants; raises `RequestError` if not."""
    if hardware["device"] != "gpu":
        return
    gpus, wanted = devices.visible_gpus(), hardware["devices"]
    if len(gpus) < wanted:
        raise RequestError(
            f"hardware={hardware['name']} wants {wanted} GPU{'s' * (wanted > 1)}, this machine shows {len(gpus)}; "
            "use hardware=auto or hardware=cpu here, or submit the run to a machine that has them"
        )
    if hardware["precision"] == "amp_bf16" and min(gpu.capability for gpu in gpus[:wanted]) < (8, 0):
        raise RequestError(f"hardware.precision=amp_bf16 is not supported by {gpus[0].name}; use amp_fp16")
