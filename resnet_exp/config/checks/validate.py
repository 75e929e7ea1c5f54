"""Validate a resolved configuration. Nothing is written."""

from __future__ import annotations

import math

from resnet_exp.config.checks import gpu_support, preset_match, values
from resnet_exp.config.checks.learning import learning_notes
from resnet_exp.config.checks.speed import check_speed
from resnet_exp.config.overrides import no_effect
from resnet_exp.config.schedule import duration, scaled_duration
from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.core.machine import devices
from resnet_exp.core.terminal.text import plural
from resnet_exp.data import formats

PRECISIONS = ("fp32", "amp_fp16", "amp_bf16")
MAX_SSR = 1000  # 90,000 epochs: more must be a typo
MAX_SEED = 2**32 - 1  # composer.utils.reproducibility.MAX_SEED


def validate(config: RunConfig) -> None:
    """Check a resolved configuration; raises `RequestError` on the first thing that is wrong."""
    _validate_schedule(config)
    _validate_hardware(config.hardware)
    _validate_batches(config)
    _validate_auto_microbatch(config)
    values.check(config)
    check_speed(config)
    formats.files_of(config.data.loader, config.data.cache_dir)
    if config.model.sync_batchnorm and config.hardware.device == "cpu":
        raise RequestError(
            f"model.sync_batchnorm=true needs GPUs, hardware={config.hardware.name} has none; use "
            "model.sync_batchnorm=false"
        )
    if not 0 <= config.seed <= MAX_SEED:
        raise RequestError(f"seed={config.seed} is out of range; use 0 to {MAX_SEED}")


def _validate_schedule(config: RunConfig) -> None:
    ssr, schedule = config.ssr, config.schedule
    full, _ = duration(schedule.max_duration, "schedule.max_duration")
    if full < 1:
        raise RequestError(f"schedule.max_duration={schedule.max_duration} must be at least 1ep or 1ba")
    if not 0 < ssr <= MAX_SSR:
        raise RequestError(
            f"ssr={ssr} must be above 0 and at most {MAX_SSR}; ssr=1 is the recipe's full {schedule.max_duration}"
        )
    length, unit = scaled_duration(config)
    if length < 1:
        shortest = math.ceil(1e4 / full) / 1e4
        raise RequestError(f"ssr={ssr} leaves 0 of {schedule.max_duration}; use ssr={shortest} or more")
    if duration(schedule.warmup, "schedule.warmup")[1] == "ba" and unit == "ep":
        raise RequestError(f"schedule.warmup={schedule.warmup} must be in epochs, as schedule.max_duration is")
    if not 0 <= schedule.alpha_f <= 1:
        raise RequestError(f"schedule.alpha_f={schedule.alpha_f} must be between 0 and 1")
    for key, interval in (("eval_interval", config.eval_interval), ("checkpoint_interval", config.checkpoint_interval)):
        if duration(interval, key)[0] < 1:
            raise RequestError(f"{key}={interval} must be at least 1ep or 1ba")


def _validate_hardware(hardware: HardwareConfig) -> None:
    name, device, precision = hardware.name, hardware.device, hardware.precision
    if device not in ("cpu", "gpu"):
        raise RequestError(f"hardware.device={device} is unknown; use cpu, gpu or auto")
    if precision not in PRECISIONS:
        raise RequestError(f"hardware.precision={precision} is unknown; use {', '.join(PRECISIONS)} or auto")
    if device == "cpu" and precision != "fp32":
        raise RequestError(f"hardware.precision={precision} needs a GPU, hardware={name} has none; use fp32 or auto")
    if device == "gpu" and hardware.devices < 1:
        raise RequestError(f"hardware.devices={hardware.devices} with hardware={name}: use 1 or more GPUs")
    if device == "cpu" and hardware.devices < 0:
        raise RequestError(f"hardware.devices={hardware.devices} must be 0 or more")
    if hardware.nodes < 1:
        raise RequestError(f"hardware.nodes={hardware.nodes} must be 1 or more")
    microbatch = hardware.microbatch
    if microbatch not in (None, "auto") and not (isinstance(microbatch, int) and microbatch > 0):
        raise RequestError(f"hardware.device_train_microbatch_size={microbatch}: use auto or a number of images")
    if microbatch == "auto" and device == "cpu":
        raise RequestError("hardware.device_train_microbatch_size=auto needs a GPU; use a number of images")


def _validate_auto_microbatch(config: RunConfig) -> None:
    """SAM's second pass may be the one that needs too much memory; Composer would then repeat all of its step."""
    sam = [key for key, entry in config.entries() if str(entry["_target_"]).rpartition(".")[2] == "SAM"]
    if sam and config.hardware.microbatch == "auto":
        raise RequestError(
            f"hardware.device_train_microbatch_size=auto cannot repeat the two passes of {sam[0]}; "
            "use a number of images"
        )


def _validate_batches(config: RunConfig) -> None:
    ranks = config.hardware.world_size
    for key, size in (("train_batch_size", config.train_batch_size), ("eval_batch_size", config.eval_batch_size)):
        if size < 1:
            raise RequestError(f"{key}={size} must be 1 or more")
        if size % ranks:
            nearest = max(ranks, size // ranks * ranks)
            raise RequestError(
                f"{key}={size} cannot be split over {ranks} devices (hardware={config.hardware.name}); "
                f"use a multiple of {ranks}, such as {nearest}"
            )


def notes(config: RunConfig) -> list[str]:
    """Warnings about a valid request, before it costs time."""
    remarks: list[str] = []
    ssr = config.ssr
    above, up_to = config.recipe_info.ssr_above, config.recipe_info.ssr_up_to
    if ssr < above or (up_to is not None and ssr > up_to):
        meant = f"above {above}" if up_to is None else f"{above} to {up_to}"
        remarks.append(f"ssr={ssr} is outside the range that recipe={config.recipe} is meant for ({meant})")
    remarks += learning_notes(config)
    if "stochastic_depth" in config.algorithms and config.model.block != "bottleneck":
        remarks.append(f"algorithms.stochastic_depth does nothing: model={config.model.name} has no bottleneck blocks")
    if config.data.decode == "scheduled" and "progressive_resizing" not in config.algorithms:
        remarks.append(
            "data.decode=scheduled does nothing without algorithms.progressive_resizing, whose sizes it follows"
        )
    return remarks + no_effect.idle_words(config)


def check_devices(hardware: HardwareConfig) -> None:
    """Check that this machine has the devices that the configuration needs, and a torch and a driver that use them.

    Raises:
        RequestError: it has not.
    """
    if hardware.device != "gpu":
        return
    gpus, wanted = devices.visible_gpus(), hardware.devices
    if len(gpus) < wanted:
        fault = devices.driver_fault()
        raise RequestError(
            f"hardware={hardware.name} needs {plural(wanted, 'GPU')}, this machine has {len(gpus)}"
            f"{f' (NVML: {fault})' if fault else ''}; "
            "use hardware=auto or hardware=cpu here, or submit the run to a machine that has them"
        )
    preset_match.check_preset(hardware, gpus[:wanted])
    gpu_support.check_torch(hardware, gpus[:wanted])
    if hardware.precision == "amp_bf16" and min(gpu.capability for gpu in gpus[:wanted]) < (8, 0):
        raise RequestError(f"hardware.precision=amp_bf16 is not supported by {gpus[0].name}; use amp_fp16")
