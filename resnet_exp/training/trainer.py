"""From a run configuration to a Composer trainer."""

from __future__ import annotations

import importlib
from functools import partial
from typing import Any

import torch
from composer import Trainer
from composer.core import Algorithm, Callback, Precision
from composer.devices import Device, DeviceCPU, DeviceGPU
from composer.loggers import LoggerDestination
from composer.optim import CosineAnnealingWithWarmupScheduler, DecoupledSGDW
from composer.utils import dist, reproducibility

from resnet_exp.config import schedule, validate
from resnet_exp.core import devices
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.data.contract import Loader, Normalize, Split, normalized
from resnet_exp.data.ffcv import files as ffcv_files
from resnet_exp.loggers.guard import guard
from resnet_exp.loggers.metrics import Measures
from resnet_exp.loggers.progress_file import ProgressFile
from resnet_exp.runs.folder import RunDir
from resnet_exp.training import callbacks
from resnet_exp.training.algorithms import listed_order
from resnet_exp.training.model import build_model

MAX_AUTO_WORKERS = 8  # the recipes' own number for each device


def build_named(group: str, entries: dict[str, Any]) -> list[Any]:
    """Instantiate the entries of an open group, in their order.

    Raises:
        RequestError: an entry's target does not exist or refuses its settings; the message names the entry.
    """
    return [build_entry(f"{group}.{name}", entry) for name, entry in entries.items()]


def build_entry(key: str, entry: dict[str, Any], **extra: Any) -> Any:
    """Call the ``_target_`` of one entry with its other keys; `key` names it in errors."""
    settings = {name: value for name, value in entry.items() if name != "_target_"}
    module, _, attribute = entry["_target_"].rpartition(".")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RequestError(f"{key}._target_={entry['_target_']} cannot be imported ({error})") from error
    try:
        return target(**settings, **extra)
    except (TypeError, ValueError, KeyError) as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(f"{key}: {entry['_target_']} refuses its settings ({error})") from error


def wanted_algorithms(config: dict[str, Any]) -> dict[str, Any]:
    """The algorithms of a run, without progressive resizing where the loader does it."""
    done = ("progressive_resizing",) if config["data"]["decode"] == "scheduled" else ()
    return {name: entry for name, entry in config["algorithms"].items() if name not in done}


def build_device(hardware: dict[str, Any]) -> Device:
    """Composer's device of this rank."""
    return DeviceGPU() if hardware["device"] == "gpu" else DeviceCPU()


def build_loader(config: dict[str, Any], train: bool) -> Loader:
    """Loader of one split for this rank."""
    converted = formats.of(config["data"])
    entry = config["data"]["loader"] if converted is None else formats.settings_of(config["data"])
    return build_entry("data.loader", entry, split=make_split(config, train))


def make_split(config: dict[str, Any], train: bool) -> Split:
    """Describe one split for this rank."""
    dataset, sizes, hardware = config["dataset"], config["resolution"], config["hardware"]
    low, high = dataset["crop_scale"]
    narrow, wide = dataset["crop_ratio"]
    return Split(
        train=train,
        root=dataset["dir"],
        classes=dataset["num_classes"],
        batch_size=config["train_batch_size" if train else "eval_batch_size"] // dist.get_world_size(),
        crop=sizes["train" if train else "eval_crop"],
        resize=sizes["eval_resize"],
        crop_scale=(low, high),
        crop_ratio=(narrow, wide),
        hflip=dataset["hflip"],
        seed=config["seed"],
        rank=dist.get_global_rank(),
        world_size=dist.get_world_size(),
        num_workers=num_workers(config),
        prefetch_factor=config["data"]["prefetch_factor"],
        on_gpu=hardware["device"] == "gpu",
        side_at=partial(schedule.loaded_size, config) if train and config["data"]["decode"] == "scheduled" else None,
    )


def num_workers(config: dict[str, Any]) -> int:
    """Loader workers of one rank: ``data.num_workers``, or on GPUs the rank's share of this machine's CPUs up to 8.

    On a CPU there are none: they would take the cores that train.
    """
    asked, hardware = config["data"]["num_workers"], config["hardware"]
    if asked is not None:
        return asked
    if hardware["device"] == "cpu":
        return 0
    return min(MAX_AUTO_WORKERS, max(1, devices.usable_cpus() // validate.ranks_per_node(hardware)))


def _normalize(config: dict[str, Any], device: Device, train: bool) -> Normalize:
    dataset = config["dataset"]
    # The original normalised FFCV's training images in half precision, and everything else in full.
    from_ffcv = config["data"]["loader"]["_target_"] == ffcv_files.LOADER
    half = train and from_ffcv and config["hardware"]["precision"] == "amp_fp16"
    return Normalize(device, dataset["mean"], dataset["std"], torch.float16 if half else torch.float32)


def build_optimizer(parameters: Any, config: dict[str, Any]) -> DecoupledSGDW:
    """SGD whose weight decay does not depend on the learning rate (Loshchilov and Hutter, arXiv:1711.05101)."""
    return DecoupledSGDW(parameters, **config)


def build_schedule(config: dict[str, Any]) -> CosineAnnealingWithWarmupScheduler:
    """Linear warm-up that ``ssr`` does not scale, then cosine decay to the end of the run."""
    return CosineAnnealingWithWarmupScheduler(t_warmup=config["warmup"], t_max="1dur", alpha_f=config["alpha_f"])


class Run:
    """A trainer, with the parts that `resnet_exp.train` asks afterwards."""

    def __init__(self, config: dict[str, Any], run: RunDir) -> None:
        """Build everything, and load the latest checkpoint if there is one."""
        self.config, self.run = config, run
        device = build_device(config["hardware"])
        # Composer's trainer does this too late for the model's first weights.
        reproducibility.seed_all(config["seed"])
        self.train_loader = build_loader(config, train=True)
        self.eval_loader = build_loader(config, train=False)
        self._check_sizes()
        self.recorder = callbacks.Recorder(run, config["trace"])
        self.stop = callbacks.StopOnRequest()
        self.algorithms: list[Algorithm] = build_named("algorithms", wanted_algorithms(config))
        self.trainer = self._trainer(device)
        self._seek()

    def _check_sizes(self) -> None:
        size, images = self.config["train_batch_size"], self.train_loader.images
        if len(self.train_loader) == 0:
            raise RequestError(
                f"train_batch_size={size} is more than the {images:,} training images; "
                f"use {max(1, images // 8)} or less"
            )

    def _trainer(self, device: Device) -> Trainer:
        config = self.config
        model = build_model(config["model"])
        microbatch = config["hardware"]["device_train_microbatch_size"]
        latest = self.run.latest_checkpoint
        loggers = [guard(name, self._tracker(name, entry)) for name, entry in config["loggers"].items()]
        self.rng = callbacks.RestoreRng()
        own: list[Callback] = [
            callbacks.OnTimeLearningRate(), self.rng, callbacks.FiniteLoss(), callbacks.SameBuffers(),
            self.recorder, Measures(self.recorder, config), self.stop,
            ProgressFile(self.run, self.recorder),
        ]  # fmt: skip
        trainer = Trainer(
            model=model,
            train_dataloader=normalized(self.train_loader, _normalize(config, device, train=True)),
            eval_dataloader=normalized(self.eval_loader, _normalize(config, device, train=False)),
            optimizers=build_optimizer(model.parameters(), config["optimizer"]),
            schedulers=build_schedule(config["schedule"]),
            algorithms=self.algorithms,
            algorithm_passes=listed_order,
            callbacks=own + build_named("callbacks", config["callbacks"]),
            loggers=loggers,
            progress_bar=False,
            max_duration=config["schedule"]["max_duration"],
            scale_schedule_ratio=config["ssr"],
            eval_interval=config["eval_interval"],
            precision=Precision(config["hardware"]["precision"]),
            device=device,
            device_train_microbatch_size=int(microbatch) if str(microbatch).isdigit() else microbatch,
            seed=config["seed"],
            run_name=config["run_id"],
            save_folder=str(self.run.checkpoints),
            save_interval=config["checkpoint_interval"],
            save_latest_filename="latest-rank{rank}.pt",
            save_num_checkpoints_to_keep=1,
            save_overwrite=True,
            load_path=str(latest) if latest.exists() else None,
            # Our loaders start an epoch where it was left; Composer would draw and drop every past batch.
            spin_dataloaders=False,
        )
        self.rng.pending = trainer._rng_state if trainer.state.timestamp.batch_in_epoch.value else None
        return trainer

    def _tracker(self, name: str, entry: dict[str, Any]) -> LoggerDestination:
        # The run folder may have been moved since it was written.
        here = {"runs_dir": str(self.run.path.parent)} if "runs_dir" in entry else {}
        return build_entry(f"loggers.{name}", {**entry, **here})

    def _seek(self) -> None:
        now = self.trainer.state.timestamp
        self.train_loader.seek(now.epoch.value, now.batch_in_epoch.value)
