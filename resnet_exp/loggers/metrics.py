"""What every tracker gets: one row of metrics per batch and per evaluation, named as in `metric_names`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from composer.core import Callback, State
from composer.loggers import Logger
from composer.utils import dist

from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.recorder import Recorder, current_lr
from resnet_exp.runs.result import EvaluationRow


class Measures(Callback):
    """Log metrics to all trackers of the run.

    Speeds are rank 0's, from the end of one batch to the end of the next, without evaluations. The first batch
    of an attempt has none, since it waits for one-time work.
    """

    def __init__(self, recorder: Recorder, config: RunConfig) -> None:
        """`recorder` has the evaluations, `config` is that of the run."""
        self._recorder, self._config = recorder, config
        self._ended: float | None = None
        self._asked = self._waited = 0.0

    def fit_start(self, state: State, logger: Logger) -> None:
        """Log the configuration to the trackers that do not read it themselves."""
        for tracker in logger.destinations:
            if not getattr(tracker, "reads_config", False):
                tracker.log_hyperparameters(flatten(asdict(self._config)))

    def before_dataloader(self, state: State, logger: Logger) -> None:
        """Start waiting for data."""
        self._asked = time.perf_counter()

    def after_dataloader(self, state: State, logger: Logger) -> None:
        """Stop waiting for data."""
        self._waited = time.perf_counter() - self._asked

    def batch_end(self, state: State, logger: Logger) -> None:
        """Log the batch."""
        now = time.perf_counter()
        row = {
            metric_names.BATCH: state.timestamp.batch.value,
            metric_names.LOSS: sum(state.total_loss_dict.values()),
            metric_names.LEARNING_RATE: current_lr(state),
            metric_names.IMAGE_SIZE: state.batch_get_item(0).shape[-1],
        }
        if self._ended is not None:
            seconds = now - self._ended
            row[metric_names.IMAGES_PER_SECOND] = len(state.batch_get_item(1)) * dist.get_world_size() / seconds
            row[metric_names.DATA_WAIT_SHARE] = min(1.0, self._waited / seconds)
        if state.device.name == "gpu":
            row[metric_names.GPU_MEMORY] = torch.cuda.max_memory_allocated() / 2**30
        logger.log_metrics(row)
        self._ended = now

    def eval_end(self, state: State, logger: Logger) -> None:
        """Log the evaluation that the recorder has just written."""
        logger.log_metrics(evaluation_metrics(self._recorder.evaluations, self._config.hardware))
        self._ended = time.perf_counter()


def evaluation_metrics(rows: Sequence[EvaluationRow], hardware: HardwareConfig) -> dict[str, float]:
    """Metrics of the last evaluation of a run, from all rows of ``metrics.jsonl`` so far."""
    last = rows[-1]
    seconds = last.train_seconds
    row = {
        metric_names.EPOCH: last.epoch,
        metric_names.BATCH: last.batches,
        metric_names.TOP1: last.top1,
        metric_names.TOP5: last.top5,
        metric_names.EVAL_LOSS: last.loss,
        metric_names.BEST_TOP1: max(row.top1 for row in rows),
        metric_names.TRAIN_SECONDS: seconds,
    }
    if (cost := hardware.price_usd(seconds)) is not None:
        row[metric_names.COST] = cost
    for target in metric_names.TARGETS:
        reached = next((row.train_seconds for row in rows if row.top1 >= target), None)
        if reached is not None:
            row[metric_names.seconds_to(target)] = reached
    return row


def flatten(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A nested configuration as one mapping with dotted keys, as on the command line."""
    found: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found
