"""The worker: turns a run folder into a result. ``python -m resnet_exp.train RUN_DIR``.

With ``RANK`` in the environment (from the launcher, ``composer`` or ``torchrun``) this process is that rank; without,
it starts the ranks. ``RANK=0 python -m resnet_exp.train RUN_DIR`` trains in this very process, as a debugger wants it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from resnet_exp.config import validate
from resnet_exp.config.hydra_errors import explain
from resnet_exp.config.schema import RunConfig
from resnet_exp.core import devices
from resnet_exp.core.errors import EXIT_BAD_REQUEST, EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, RequestError, RunFailed
from resnet_exp.runs import checkpoints, environment, folder, identity
from resnet_exp.runs.folder import RunDir

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Run

# In which rank 0 says why all of them refuse, before the launcher ends them.
ALIKE_SECONDS = 5.0


def read_config(run: RunDir) -> dict[str, Any]:
    """Read and validate the configuration of a run folder.

    Raises:
        RequestError: there is none, or it is damaged.
    """
    try:
        typed = OmegaConf.merge(OmegaConf.structured(RunConfig), OmegaConf.load(run.config))
        config = OmegaConf.to_container(typed, throw_on_missing=True)
    except (FileNotFoundError, NotADirectoryError):
        raise RequestError(f"{run.path} is no run folder: it has no config.yaml") from None
    except Exception as error:
        # OmegaConf, YAML and the decoder each raise their own.
        raise RequestError(f"{run.config} is damaged ({explain(error)}); start the run again") from error
    assert isinstance(config, dict)
    values = {str(key): value for key, value in config.items()}
    validate.validate(values)
    return values


def run_rank(run: RunDir) -> int:
    """Train, evaluate and write the result as one rank; returns the exit code."""
    begun: list[Run] = []
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


def _be_foreign_rank(run: RunDir) -> int:
    """Run as a rank of another launcher, or alone with ``RANK=0``."""
    from resnet_exp.training import external_ranks

    external_ranks.complete_environment()
    try:
        config = read_config(run)  # before anything is written into what may be no run folder
        external_ranks.check_world(config, run)
        code = run_rank(run) if external_ranks.begin(run, config) else EXIT_DONE
    except (RequestError, RunFailed):
        if os.environ["RANK"] != "0":
            time.sleep(ALIKE_SECONDS)
        raise
    external_ranks.show(run, code)
    return code


def write_failure(run: RunDir, error: BaseException, exit_code: int) -> None:
    """Write ``failure.json``; room for it is made if the disk is full."""
    rank = int(os.environ.get("RANK", "0"))
    # Torch does not say that the disk is full. Asked before room is made.
    full = run.path.is_dir() and folder.is_full(run.path)
    failure = {
        "schema": folder.SCHEMA,
        "error": folder.FULL.format(run.path.parent) if full else one_line(error),
        "type": type(error).__name__,
        "rank": rank,
        "host": socket.gethostname(),
        "exit_code": exit_code,
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "traceback": traceback.format_exc(),
    }
    if rank == 0:
        # Another rank would remove the one that rank 0 may be writing.
        checkpoints.remove_stale(run)
    # The first rank to fail knows why; the others only lost it.
    with contextlib.suppress(OSError):
        if not run.failure.exists():
            folder.write_json(run.failure, failure)


def one_line(error: BaseException) -> str:
    """The message of an error as one line; the type goes before it unless the message is ours."""
    text = str(error)
    if "\nOriginal Traceback" in text:
        # Torch makes the traceback of a loader's worker the message.
        text = text.strip().rpartition("\n")[2].partition(": ")[2]
    text = " ".join(text.split()) or _failed_line(error)
    return text if isinstance(error, (RequestError, RunFailed)) else f"{type(error).__name__}: {text}"


def _failed_line(error: BaseException) -> str:
    """Where an error without a message comes from, such as a bare assertion."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].line} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else "no message"


def _train(run: RunDir, begun: list[Run]) -> int:
    faulthandler.enable()
    warnings.filterwarnings("ignore", message=r".*`load_weights_only=True`.*")
    config = read_config(run)
    validate.check_devices(config["hardware"])
    if config["hardware"]["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # FFCV takes a GPU that it sees
    # Imported late: whatever is wrong before costs no ten seconds of imports.
    from composer.utils import dist

    from resnet_exp.training.callbacks import StopRequested, finished
    from resnet_exp.training.trainer import Run, build_device

    dist.initialize_dist(build_device(config["hardware"]), timeout=1800)
    if dist.get_global_rank() == 0:
        checkpoints.repair(run)
        environment.update(run, environment.of_worker(config["hardware"]["device"] == "gpu"))
    dist.barrier()
    training = Run(config, run)
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


def _stop_on_signals(training: Run) -> None:
    def request(number: int, frame: object) -> None:
        training.stop.requested = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, request)


def _save_stopped(run: RunDir, training: Run) -> None:
    from composer.utils import dist

    name = f"stopped-ba{training.trainer.state.timestamp.batch.value}-rank0.pt"
    training.trainer.save_checkpoint(str(run.checkpoints / name))
    if dist.get_global_rank() == 0:
        checkpoints.point_to(run, name)
        checkpoints.remove_stale(run)


def _write_result(run: RunDir, training: Run, startup_seconds: float) -> None:
    import torch

    from resnet_exp.training.algorithms import ema_weights

    config, recorder, state = training.config, training.recorder, training.trainer.state
    temporary = run.weights.with_name(f".weights.{os.getpid()}")
    torch.save(ema_weights(state.model, training.algorithms), temporary)
    temporary.replace(run.weights)
    now, hardware = state.timestamp, config["hardware"]
    made_with = folder.read_json(run.environment) or {}
    train_seconds = now.total_wct.total_seconds()
    result = {
        "schema": folder.SCHEMA,
        "run_id": config["run_id"],
        **{key: config[key] for key in ("recipe", "ssr", "seed")},
        "model": config["model"]["name"],
        "dataset": config["dataset"]["name"],
        "data": config["data"]["name"],
        "algorithms": sorted(config["algorithms"]),
        "group": identity.group(config),
        "sweep": config["sweep"],
        "command": config["command"],
        "commits": made_with.get("commits", []),
        "dirty": made_with.get("dirty", False),
        "epochs": now.epoch.value,
        "batches": now.batch.value,
        "train_images": training.train_loader.images,
        "val_images": training.eval_loader.images,
        "top1": recorder.last["top1"],
        "top5": recorder.last["top5"],
        "eval_loss": recorder.last["loss"],
        "evaluation": {key: config["resolution"][key] for key in ("eval_resize", "eval_crop")},
        "samples_per_second": now.sample.value / train_seconds,
        "resumed": recorder.resumed,
        "timing": {
            "train_seconds": train_seconds,
            "eval_seconds": recorder.eval_seconds,
            "startup_seconds": startup_seconds,
            "data_wait_seconds": recorder.data_wait_seconds,
        },
        "hardware": {
            **{key: hardware[key] for key in ("name", "cloud", "devices", "nodes", "precision", "gpu")},
            "cpus": devices.usable_cpus(),
            **{key: hardware[key] for key in ("usd_per_node_hour", "price_date")},
        },
    }
    folder.write_json(run.result, result)
    _tell(training, "log_result", result, recorder.evaluations)


def _tell(training: Run, what: str, *facts: Any) -> None:
    """Call a method of the trackers that have it."""
    for destination in training.trainer.logger.destinations:
        if (method := getattr(destination, what, None)) is not None:
            method(*facts)


def main(arguments: list[str] | None = None) -> int:
    """Command line: one run folder. Returns the exit code."""
    from resnet_exp.core import console
    from resnet_exp.launch import run as launch

    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        console.complain("usage: python -m resnet_exp.train RUN_DIR    (RUN_DIR holds a config.yaml)")
        return EXIT_BAD_REQUEST
    run = RunDir(Path(arguments[0]).absolute())
    try:
        if folder.OWNED in os.environ:
            return run_rank(run)
        if "RANK" in os.environ:
            return _be_foreign_rank(run)
        return launch.resume(run, read_config(run))
    except (RequestError, RunFailed) as error:
        console.complain(str(error))
        return EXIT_BAD_REQUEST if isinstance(error, RequestError) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
