"""What every tracker gets: one row of metrics per batch and per evaluation, named as in `metric_names`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import torch
from composer.core import Callback, State
from composer.loggers import Logger, LoggerDestination

from resnet_exp.config.schema import HardwareConfig, RunConfig
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.recorder import BatchRow, Recorder
from resnet_exp.runs.result import EvaluationRow


class Measures(Callback):
    """Log metrics to all trackers of the run: a callback of Composer 0.32.1.

    Speeds are rank 0's, from the end of one batch to the end of the next, without evaluations. The first batch
    of an attempt has none, since it waits for one-time work.
    """

    def __init__(self, recorder: Recorder, config: RunConfig) -> None:
        """`recorder` has the evaluations, `config` is that of the run."""
        self._recorder, self._config = recorder, config

    def fit_start(self, state: State, logger: Logger) -> None:
        """Log the configuration to the trackers that do not read it themselves."""
        for tracker in logger.destinations:
            if not getattr(tracker, "reads_config", False):
                tracker.log_hyperparameters(flatten(asdict(self._config)))

    def log_batch(self, batch: BatchRow, logger: Logger) -> None:
        """Log the batch."""
        if not any(map(_reads_metrics, logger.destinations)):
            return
        done = batch.batch + 1
        row = {
            metric_names.BATCH: done,
            metric_names.LOSS: batch.loss,
            metric_names.LEARNING_RATE: batch.lr,
            metric_names.IMAGE_SIZE: batch.width,
        }
        if batch.seconds is not None:
            row[metric_names.IMAGES_PER_SECOND] = batch.images / batch.seconds
            row[metric_names.DATA_WAIT_SHARE] = min(1.0, batch.waited / batch.seconds)
        # It is the peak so far, and collecting the statistics of the allocator takes time.
        if batch.is_last and self._config.hardware.device == "gpu":
            row[metric_names.GPU_MEMORY] = torch.cuda.max_memory_allocated() / 2**30
        logger.log_metrics(row, step=done)

    def eval_end(self, state: State, logger: Logger) -> None:
        """Log the evaluation that the recorder has just written."""
        logger.log_metrics(evaluation_metrics(self._recorder.evaluations, self._config.hardware))


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


def _reads_metrics(tracker: LoggerDestination) -> bool:
    return type(tracker).log_metrics is not LoggerDestination.log_metrics


def flatten(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A nested configuration as one mapping with dotted keys, as on the command line."""
    found: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found
