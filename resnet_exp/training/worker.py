"""One rank of a run: from a run folder to a result."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time
import traceback
import warnings
from typing import TYPE_CHECKING, Any

from resnet_exp.config import identity, validate
from resnet_exp.core import devices, files
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.launch.config_file import read_config
from resnet_exp.runs import checkpoints, environment
from resnet_exp.runs.failure import write_failure
from resnet_exp.runs.folder import RunFolder
from resnet_exp.training import lazy_imports

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Training

# In which rank 0 says why all of them refuse, before the launcher ends them.
ALIKE_SECONDS = 5.0


def run_rank(run: RunFolder) -> int:
    """Train, evaluate and write the result as one rank; returns the exit code."""
    begun: list[Training] = []
    try:
        return _train(run, begun)
    except Exception as error:
        code = EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
        # The log comes last: on a full disk it cannot be written.
        write_failure(run, error, code)
        with contextlib.suppress(OSError):
            traceback.print_exc()
        # At the end of the process their own threads are gone. Closing the trainer would wait for the other ranks.
        for training in begun:
            _tell(training, "log_failure")
        return code


def run_external_rank(run: RunFolder) -> int:
    """Run as a rank of another launcher, or alone with ``RANK=0``."""
    from resnet_exp.training import external_ranks

    external_ranks.complete_environment()
    try:
        config = read_config(run)  # before anything is written into what may be no run folder
        external_ranks.check_world(config.hardware, run)
        code = run_rank(run) if external_ranks.begin(run, config) else EXIT_DONE
    except (RequestError, RunFailed):
        if os.environ["RANK"] != "0":
            time.sleep(ALIKE_SECONDS)
        raise
    external_ranks.show(run, code)
    return code


def _train(run: RunFolder, begun: list[Training]) -> int:
    faulthandler.enable()
    warnings.filterwarnings("ignore", message=r".*`load_weights_only=True`.*")
    config = read_config(run)
    validate.check_devices(config.hardware)
    if config.hardware.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # FFCV takes a GPU that it sees
    # Imported late: whatever is wrong before costs no seconds of imports.
    with lazy_imports.without_garbage_collection(), lazy_imports.without_unused():
        from composer.utils import dist

        from resnet_exp.loggers.recorder import finished
        from resnet_exp.training.callbacks import StopRequested
        from resnet_exp.training.trainer import Training, build_device

    dist.initialize_dist(build_device(config.hardware), timeout=1800)
    if dist.get_global_rank() == 0:
        checkpoints.repair(run)
        environment.update(run, of_worker(config.hardware.device == "gpu"))
    dist.barrier()
    training = Training(config, run)
    begun.append(training)
    _stop_on_signals(training)
    startup = environment.process_seconds()
    try:
        if finished(training.trainer.state):
            training.trainer.eval()
        else:
            training.trainer.fit()
    except StopRequested:
        _save_stopped(run, training)
        _tell(training, "log_stop")
        training.trainer.close()
        return EXIT_INTERRUPTED
    if dist.get_global_rank() == 0:
        _write_result(run, training, startup)
        checkpoints.remove_stale(run)
    training.trainer.close()
    return EXIT_DONE


def _stop_on_signals(training: Training) -> None:
    def request(number: int, frame: object) -> None:
        training.stop.requested = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, request)


def _save_stopped(run: RunFolder, training: Training) -> None:
    from composer.utils import dist

    name = f"stopped-ba{training.trainer.state.timestamp.batch.value}-rank0.pt"
    training.trainer.save_checkpoint(str(run.checkpoints / name))
    if dist.get_global_rank() == 0:
        checkpoints.point_to(run, name)
        checkpoints.remove_stale(run)


def _write_result(run: RunFolder, training: Training, startup_seconds: float) -> None:
    import torch

    from resnet_exp.training.algorithms import ema_weights

    config, recorder, state = training.config, training.recorder, training.trainer.state
    temporary = run.weights.with_name(f".weights.{os.getpid()}")
    torch.save(ema_weights(state.model, training.algorithms), temporary)
    temporary.replace(run.weights)
    now, hardware = state.timestamp, config.hardware
    made_with = files.read_json(run.environment) or {}
    train_seconds = now.total_wct.total_seconds()
    result = {
        "schema": files.SCHEMA,
        "run_id": config.run_id,
        **{key: getattr(config, key) for key in ("recipe", "ssr", "seed")},
        "model": config.model.name,
        "dataset": config.dataset.name,
        "data": config.data.name,
        "algorithms": sorted(config.algorithms),
        "group": identity.group(config),
        "sweep": config.sweep,
        "command": config.command,
        "commits": made_with.get("commits", []),
        "dirty": made_with.get("dirty", False),
        "epochs": now.epoch.value,
        "batches": now.batch.value,
        "train_images": training.train_loader.images,
        "val_images": training.eval_loader.images,
        "top1": recorder.last["top1"],
        "top5": recorder.last["top5"],
        "eval_loss": recorder.last["loss"],
        "evaluation": {key: getattr(config.resolution, key) for key in ("eval_resize", "eval_crop")},
        "samples_per_second": now.sample.value / train_seconds,
        "resumed": recorder.resumed,
        "timing": {
            "train_seconds": train_seconds,
            "eval_seconds": recorder.eval_seconds,
            "startup_seconds": startup_seconds,
            "data_wait_seconds": recorder.data_wait_seconds,
        },
        "hardware": {
            **{key: getattr(hardware, key) for key in ("name", "cloud", "devices", "nodes", "precision", "gpu")},
            "cpus": devices.usable_cpus(),
            **{key: getattr(hardware, key) for key in ("usd_per_node_hour", "price_date")},
        },
    }
    files.write_json(run.result, result)
    _tell(training, "log_result", result, recorder.evaluations)


def _tell(training: Training, what: str, *facts: Any) -> None:
    """Call a method of the trackers that have it."""
    for destination in training.trainer.logger.destinations:
        if (method := getattr(destination, what, None)) is not None:
            method(*facts)


def of_worker(gpu: bool) -> dict[str, Any]:
    """What only torch knows: CUDA, cuDNN and driver when on a GPU, and the thread count."""
    import torch
    import torch.version

    facts: dict[str, Any] = {"torch_threads": torch.get_num_threads()}
    if gpu:
        facts |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "device": torch.cuda.get_device_name(),
            "driver": _driver(),
        }
    return facts


def _driver() -> str:
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())
