"""One rank of a run: from a run folder to a result."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from resnet_exp.config import initial_weights
from resnet_exp.config.checks import validate
from resnet_exp.core import files
from resnet_exp.core.errors import (
    EXIT_BAD_REQUEST,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    RequestError,
    RunFailed,
    StopRequested,
)
from resnet_exp.core.machine import devices
from resnet_exp.launch.config_file import read_config
from resnet_exp.launch.dataset import read_data_set
from resnet_exp.runs import checkpoints
from resnet_exp.runs.environment import Environment, read_environment, write_environment
from resnet_exp.runs.failure import write_error
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import Evaluation, Result, ResultHardware, Timing, write_result
from resnet_exp.training.patches import cpu_name
from resnet_exp.training.rank import lazy_imports

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Training

# Time for rank 0 to report why all ranks refuse, before the launcher ends them.
ALIKE_SECONDS = 5.0
# Time for trackers to take what is left when a rank has failed.
CLOSE_SECONDS = 60.0


def run_rank(run: RunFolder) -> int:
    """Train, evaluate and write the result as one rank; returns the exit code."""
    training: Training | None = None
    try:
        training = _build(run)
        try:
            _train(training)
        except StopRequested:
            return _stop(run, training)
        return _finish(run, training)
    except Exception as error:
        code = EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED
        error = _explained(error, training)
        # Log last: on a full disk that fails.
        write_error(run, error, code, has_lost_peer(error))
        with contextlib.suppress(OSError):
            traceback.print_exc()
        # Tell the trackers now: at exit their threads are gone. Closing the trainer would wait for the other ranks.
        if training is not None:
            _call_trackers(training, "log_failure")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            _leave(training, code)
        return code


def _leave(training: Training | None, code: int) -> NoReturn:
    """Close the trackers and end this process: at exit NCCL waits for ranks that the launcher ends only after this one.

    Other callbacks are not closed: one might wait for the other ranks.
    """
    deadline = threading.Timer(CLOSE_SECONDS, os._exit, (code,))
    deadline.daemon = True
    deadline.start()
    if training is not None:
        trainer = training.trainer
        for tracker in trainer.logger.destinations:
            tracker.close(trainer.state, trainer.logger)
            tracker.post_close()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def _explained(error: Exception, training: Training | None) -> Exception:
    """What the user is told of an error: of the death of a loader's worker, torch knows little."""
    if training is None:
        return error
    from resnet_exp.data.worker_loader import death_of_worker

    death = death_of_worker(error, training.train_loader, training.eval_loader)
    if death is not None:
        death.__cause__ = error
    return death or error


def run_external_rank(run: RunFolder) -> int:
    """Run as a rank of another launcher, or alone with ``RANK=0``."""
    from resnet_exp.training.rank import external_ranks

    external_ranks.complete_environment()
    try:
        config = read_config(run)  # first: it refuses what is not a run folder, before anything is written there
        external_ranks.check_world(config.hardware, run)
        code = run_rank(run) if external_ranks.begin(run, config) else EXIT_DONE
    except (RequestError, RunFailed):
        if os.environ["RANK"] != "0":
            time.sleep(ALIKE_SECONDS)
        raise
    external_ranks.show(run, code)
    return code


def _build(run: RunFolder) -> Training:
    """Connect to the other ranks and build everything; loads the latest checkpoint if there is one."""
    faulthandler.enable()
    warnings.filterwarnings("ignore", message=r".*`load_weights_only=True`.*")
    config = read_config(run)
    validate.check_devices(config.hardware)
    # The order in which NVML counts: CUDA's own begins with the fastest.
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    if config.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS reads it when CUDA starts, before Composer sets it
    if config.hardware.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # libraries use every GPU that they see
    if config.speed.compile:
        # Early: imports put a folder of /tmp there.
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(config.data.cache_dir) / "inductor"))
    # Imported late: errors above are reported without seconds of imports.
    with lazy_imports.without_garbage_collection(), lazy_imports.without_unused():
        from composer.utils import dist

        from resnet_exp.data.worker_loader import shorten_socket_paths
        from resnet_exp.training.trainer import Training, build_device

    cpu_name.without_probe()
    dist.initialize_dist(build_device(config.hardware), timeout=1800)
    if dist.get_global_rank() == 0:
        checkpoints.repair(run)
        write_environment(run, with_torch(read_environment(run), config.hardware.device == "gpu"))
    dist.barrier()
    shorten_socket_paths()
    training = Training(config, run)
    _stop_on_signals(run, training)
    training.wait.watch(partial(_fail_waiting, run, training))
    return training


def _train(training: Training) -> None:
    """Train and evaluate; a checkpoint at the end of training only needs its evaluation."""
    if training.is_finished:
        training.startup.before_evaluation(training.trainer.state)
        training.trainer.eval()
    else:
        training.trainer.fit()


def _stop(run: RunFolder, training: Training) -> int:
    """Save a checkpoint now, between two batches; returns the exit code."""
    training.exchange.exchange(training.trainer.state, training.trainer.logger)
    _save_stopped(run, training)
    _call_trackers(training, "log_stop")
    training.trainer.close()
    return EXIT_INTERRUPTED


def _finish(run: RunFolder, training: Training) -> int:
    """Write weights and result, on the first rank; returns the exit code."""
    from composer.utils import dist

    first = dist.get_global_rank() == 0
    if first:
        _save_weights(run, training)
        result = _result(run, training)
        write_result(run, result)
        _call_trackers(training, "log_result", result, training.recorder.evaluations)
        checkpoints.remove_stale(run)
    training.trainer.close()
    # Last: until they are closed, trackers may upload one.
    if first and not training.config.keep_checkpoints:
        checkpoints.remove_all(run)
    return EXIT_DONE


def _stop_on_signals(run: RunFolder, training: Training) -> None:
    def request(number: int, frame: object) -> None:
        training.exchange.requested = True
        if training.wait.ask_to_stop():
            # Not by an exception: what makes batches would be waited for.
            os._exit(_stop(run, training))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, request)


def _fail_waiting(run: RunFolder, training: Training, error: RunFailed) -> None:
    """End this process from another thread: the main thread waits for a batch that does not come."""
    from resnet_exp.data.worker_loader import show_workers

    write_error(run, error, EXIT_FAILED, False)
    faulthandler.dump_traceback(all_threads=True)
    show_workers()
    _call_trackers(training, "log_failure")
    os._exit(EXIT_FAILED)


def _save_stopped(run: RunFolder, training: Training) -> None:
    from composer.utils import dist

    if training.saver is not None:
        training.saver.finish()
    name = f"stopped-ba{training.trainer.state.timestamp.batch.value}-rank0.pt"
    training.trainer.save_checkpoint(str(run.checkpoints / name))
    if dist.get_global_rank() == 0:
        checkpoints.point_to(run, name)
        checkpoints.remove_stale(run)


def _save_weights(run: RunFolder, training: Training) -> None:
    import torch

    from resnet_exp.training.algorithms.ema import ema_weights

    with files.replacing(run.weights) as file:
        torch.save(ema_weights(training.trainer.state.model, training.algorithms), file)


def _result(run: RunFolder, training: Training) -> Result:
    config, recorder, now = training.config, training.recorder, training.trainer.state.timestamp
    made_with, data_set, train_seconds = read_environment(run), read_data_set(run), now.total_wct.total_seconds()
    hardware = config.hardware
    assert config.run_id is not None
    return Result(
        run_id=config.run_id,
        recipe=config.recipe,
        speed=config.speed.name,
        init_from=initial_weights.label(config.init_from),
        ssr=config.ssr,
        seed=config.seed,
        model=config.model.name,
        dataset=config.dataset.name,
        data=config.data.name,
        algorithms=tuple(sorted(config.algorithms)),
        group=training.group,
        sweep=config.sweep,
        command=config.command,
        commits=made_with.commits,
        dirty=made_with.dirty,
        epochs=now.epoch.value,
        batches=now.batch.value,
        train_images=training.train_loader.images,
        val_images=training.eval_loader.images,
        top1=recorder.last.top1,
        top5=recorder.last.top5,
        eval_loss=recorder.last.loss,
        evaluation=Evaluation(config.resolution.eval_resize, config.resolution.eval_crop),
        images_per_second=now.sample.value / train_seconds,
        resumed=recorder.resumed,
        timing=Timing(train_seconds, recorder.eval_seconds, training.startup.seconds, recorder.data_wait_seconds),
        hardware=ResultHardware(
            name=hardware.name,
            cloud=hardware.cloud,
            devices=hardware.devices if hardware.device == "gpu" else 0,
            nodes=hardware.nodes,
            precision=hardware.precision,
            gpu=hardware.gpu,
            cpus=made_with.cpus or devices.usable_cpus(),  # a rank may have its share of them only
            usd_per_node_hour=hardware.usd_per_node_hour,
            price_date=hardware.price_date,
        ),
        data_set=None if data_set is None else data_set.name,
        data_set_fingerprint=None if data_set is None else data_set.fingerprint,
    )


def _call_trackers(training: Training, what: str, *facts: Any) -> None:
    """Call a method on the trackers that have it."""
    for destination in training.trainer.logger.destinations:
        if (method := getattr(destination, what, None)) is not None:
            method(*facts)


def has_lost_peer(error: Exception) -> bool:
    """Whether an exception was raised by a collective: another rank is gone, or fails at the same time.

    Torch has a type for errors of NCCL and of the store, but not of gloo, whose messages start with its source file.
    """
    if not isinstance(error, RuntimeError) or isinstance(error, RunFailed):
        return False
    import torch.distributed

    return isinstance(error, torch.distributed.DistError) or "/gloo/transport/" in str(error)


def with_torch(facts: Environment, gpu: bool) -> Environment:
    """Add what only torch knows: the number of threads, and for a GPU its name, CUDA, cuDNN and driver versions."""
    import torch
    import torch.version

    facts = replace(facts, torch_threads=torch.get_num_threads())
    if not gpu:
        return facts
    return replace(
        facts,
        cuda=torch.version.cuda,
        cudnn=torch.backends.cudnn.version(),
        device=torch.cuda.get_device_name(),
        driver=_driver(),
    )


def _driver() -> str:
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())
