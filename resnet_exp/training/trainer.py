"""From a run configuration to a Composer trainer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from composer.core import Algorithm, Callback, Precision, Time, TimeUnit
from composer.devices import Device, DeviceCPU, DeviceGPU
from composer.loggers import LoggerDestination
from composer.optim import CosineAnnealingWithWarmupScheduler
from composer.utils import reproducibility

from resnet_exp.config import identity
from resnet_exp.config.checks import gpu_support
from resnet_exp.config.schema import Entries, Entry, HardwareConfig, OptimizerConfig, RunConfig, ScheduleConfig
from resnet_exp.core.errors import RequestError
from resnet_exp.data import formats
from resnet_exp.loggers.guard import guard
from resnet_exp.loggers.metrics import Measures
from resnet_exp.loggers.progress_file import ProgressFile
from resnet_exp.loggers.recorder import Recorder, finished
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training import callbacks, initial_weights
from resnet_exp.training.algorithms.order import listed_order
from resnet_exp.training.instantiate import build_entry, build_named
from resnet_exp.training.loaders import _normalize, build_loader, normalized
from resnet_exp.training.model import build_model
from resnet_exp.training.patches import checkpoint_loading
from resnet_exp.training.patches.learning_rate import OnTimeLearningRate
from resnet_exp.training.patches.random_state import RestoreRng
from resnet_exp.training.rank.batch_wait import BatchWait
from resnet_exp.training.rank.startup import StartUp
from resnet_exp.training.speed import compilation
from resnet_exp.training.speed.checkpoints import BackgroundSaver
from resnet_exp.training.step import intervals
from resnet_exp.training.step.algorithms import UNWAITING
from resnet_exp.training.step.exchange import Exchange
from resnet_exp.training.step.optimizer import DecoupledSGDW
from resnet_exp.training.step.trainer import StepTrainer


def wanted_algorithms(config: RunConfig) -> Entries:
    """The algorithms of a run, without progressive resizing where the loader does it."""
    done = ("progressive_resizing",) if config.data.decode == "scheduled" else ()
    return {name: entry for name, entry in config.algorithms.items() if name not in done}


def build_device(hardware: HardwareConfig) -> Device:
    """Composer's device of this rank.

    Raises:
        RequestError: torch has no kernels for it, or CUDA has other GPUs than were counted.
    """
    if hardware.device == "cpu":
        return DeviceCPU()  # a torch without CUDA has none of these functions
    gpu_support.check_kernels(hardware, torch._C._cuda_getArchFlags)
    gpu_support.check_count(hardware, torch._C._cuda_getDeviceCount)
    return DeviceGPU()


def build_optimizer(parameters: Any, config: OptimizerConfig) -> DecoupledSGDW:
    """SGD whose weight decay does not depend on the learning rate (Loshchilov and Hutter, arXiv:1711.05101)."""
    return DecoupledSGDW(parameters, **asdict(config))


def build_schedule(config: ScheduleConfig) -> CosineAnnealingWithWarmupScheduler:
    """Linear warm-up that ``ssr`` does not scale, then cosine decay to the end of the run."""
    # As times, not as texts: Composer would parse those in each batch.
    warmup, end = Time.from_timestring(config.warmup), Time(1.0, TimeUnit.DURATION)
    return CosineAnnealingWithWarmupScheduler(t_warmup=warmup, t_max=end, alpha_f=config.alpha_f)


class Training:
    """A trainer, with the parts that `resnet_exp.training.worker` needs after training."""

    def __init__(self, config: RunConfig, run: RunFolder) -> None:
        """Build everything, and load the latest checkpoint if there is one."""
        self.config, self.run = config, run
        device = build_device(config.hardware)
        # Composer's trainer seeds too late for the model's initial weights.
        reproducibility.seed_all(config.seed)
        self.train_loader = build_loader(config, train=True)
        self.eval_loader = build_loader(config, train=False)
        self._check_sizes()
        self.group = identity.group(config)  # of the code as it is now
        self.recorder = Recorder(run, config.trace)
        self.wait = BatchWait()
        self.startup = StartUp(config, self.train_loader, self.eval_loader, self.wait)
        self.algorithms: list[Algorithm] = build_named("algorithms", wanted_algorithms(config), UNWAITING)
        self.trainer = self._trainer(device)
        self._seek()

    @property
    def is_finished(self) -> bool:
        """Whether the loaded checkpoint is at the end of training."""
        return finished(self.trainer.state)

    def _check_sizes(self) -> None:
        size, images = self.config.train_batch_size, self.train_loader.images
        if len(self.train_loader) == 0:
            raise RequestError(
                f"train_batch_size={size} is more than the {images:,} training images; "
                f"use {max(1, images // 8)} or less"
            )

    def _trainer(self, device: Device) -> StepTrainer:
        config = self.config
        model = build_model(config.model)
        latest = self.run.latest_checkpoint
        if not latest.exists():
            initial_weights.load(model.module, config)
        loggers = [guard(name, self._tracker(name, entry)) for name, entry in config.loggers.items()]
        self.rng = RestoreRng()
        checkpoint_loading.restrict()
        measures = Measures(self.recorder, config)
        self.exchange = Exchange(self.recorder, [callbacks.check_loss, self.recorder.trace_batch, measures.log_batch])
        own: list[Callback] = [
            OnTimeLearningRate(), self.rng, self.exchange, callbacks.SameBuffers(),
            self.recorder, measures, ProgressFile(self.run, self.recorder),
        ]  # fmt: skip
        self.saver = BackgroundSaver(self.run, config.checkpoint_interval) if config.speed.async_checkpoints else None
        own += [self.saver] if self.saver else []
        trainer = StepTrainer(
            # Each rank gets as many batches of as many images from a loader of ours.
            even=formats.format_of(config.data.loader) is not None,
            exchange=self.exchange,
            recorder=self.recorder,
            waiting=self.wait.of_batch,
            model=model,
            train_dataloader=normalized(self.train_loader, _normalize(config, device, train=True)),
            eval_dataloader=normalized(self.eval_loader, _normalize(config, device, train=False)),
            optimizers=build_optimizer(model.parameters(), config.optimizer),
            schedulers=build_schedule(config.schedule),
            # `OnTimeLearningRate` evaluates it for each batch.
            step_schedulers_every_batch=False,
            algorithms=self.algorithms,
            algorithm_passes=listed_order,
            callbacks=[*own, *build_named("callbacks", config.callbacks), self.startup],
            loggers=loggers,
            progress_bar=False,
            max_duration=config.schedule.max_duration,
            scale_schedule_ratio=config.ssr,
            eval_interval=intervals.evaluation(config.eval_interval),
            precision=Precision(config.hardware.precision),
            device=device,
            device_train_microbatch_size=config.hardware.microbatch,
            seed=config.seed,
            deterministic_mode=config.deterministic,
            run_name=config.run_id,
            save_folder=None if self.saver else str(self.run.checkpoints),
            save_interval=intervals.checkpoint(config.checkpoint_interval),
            save_latest_filename="latest-rank{rank}.pt",
            save_num_checkpoints_to_keep=1,
            save_overwrite=True,
            load_path=str(latest) if latest.exists() else None,
            load_exclude_algorithms=checkpoint_loading.DESCRIBED,
            # Our loaders resume in the middle of an epoch; Composer would load and drop every past batch.
            spin_dataloaders=False,
        )
        checkpoint_loading.check_states([*self.algorithms, *trainer.state.callbacks])
        self.rng.take_from(trainer)
        if config.speed.compile:
            compilation.compile_network(model.module)
        return trainer

    def _tracker(self, name: str, entry: Entry) -> LoggerDestination:
        # The run folder may have been moved since it was written.
        here = {"runs_dir": str(self.run.path.parent)} if "runs_dir" in entry else {}
        return build_entry(f"loggers.{name}", {**entry, **here})

    def _seek(self) -> None:
        now = self.trainer.state.timestamp
        self.train_loader.seek(now.epoch.value, now.batch_in_epoch.value)
