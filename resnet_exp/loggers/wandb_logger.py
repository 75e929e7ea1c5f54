"""Weights & Biases through its own client; Composer 0.32.1's logger uses an API that wandb 0.31 removed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import yaml
from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist

from resnet_exp.config.schema import RunConfig, run_config
from resnet_exp.core.terminal import console
from resnet_exp.loggers import metric_names
from resnet_exp.loggers.wandb_background import PATIENCE_SECONDS, BackgroundRun
from resnet_exp.runs.environment import environment_json, read_environment
from resnet_exp.runs.folder import RunFolder
from resnet_exp.runs.result import EvaluationRow, Result, result_json

# Metrics that Composer logs itself, and that `resnet_exp.loggers.metrics` logs under our own names.
REPEATED = ("loss/train/", "metrics/eval/", "time/", "trainer/", "progressive_resizing/")


class WeightsAndBiases(LoggerDestination):
    """One W&B run for each run, whatever happens to it: its id is the run id.

    Only rank 0 talks to W&B, in another thread. The step of a metric is the batch.
    """

    # It sends the configuration itself at its start, as nested keys.
    reads_config = True

    def __init__(
        self,
        runs_dir: str,
        project: str,
        group: str | None = None,
        entity: str | None = None,
        artifacts: Sequence[str] = (),
        init_seconds: float = PATIENCE_SECONDS,
        finish_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """See ``conf/loggers/wandb.yaml``; `resnet_exp.config.checks.values` checks these settings."""
        self._runs_dir, self._artifacts, self._patience = runs_dir, tuple(artifacts), (init_seconds, finish_seconds)
        self._project, self._group, self._entity = project, group, entity
        self._folder = RunFolder(Path(runs_dir))
        self._run: BackgroundRun | None = None
        self._exit_code = 1
        self._held: list[tuple[int, dict[str, Any]]] = []

    def init(self, state: State, logger: Logger) -> None:
        """Start or resume the W&B run."""
        if dist.get_global_rank() != 0:
            return
        assert state.run_name is not None
        self._folder = RunFolder(Path(self._runs_dir).absolute() / state.run_name)
        values = yaml.load(self._folder.config.read_text("utf-8"), yaml.CSafeLoader)
        config = run_config(values)
        self._run = BackgroundRun(
            self._folder.path,
            console.say,
            *self._patience,
            id=state.run_name,
            name=state.run_name,
            job_type=config.recipe,
            tags=tags(config),
            config={**values, "environment": environment_json(read_environment(self._folder))},
            allow_val_change=True,
            project=self._project,
            group=self._group,
            entity=self._entity,
        )
        self._run.do(define_axes)

    def log_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Add to the run's configuration."""
        if self._run is not None:
            self._run.do(lambda run: run.config.update(hyperparameters, allow_val_change=True))

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log numbers at a batch."""
        if self._run is None:
            return
        # Convert now: a tensor may have changed by the time the thread reads it.
        row = {
            name: value.item() if isinstance(value, torch.Tensor) else value
            for name, value in metrics.items()
            if not name.startswith(REPEATED)
        }
        if not row:
            return
        if metric_names.BATCH not in row and step is not None:
            # W&B drops steps before the last one, and ours come some batches late.
            self._held.append((step, row))
            return
        self._log_held(step)
        self._run.do(lambda run: run.log(row, step=step))

    def _log_held(self, until: int | None = None) -> None:
        assert self._run is not None
        due = [(step, row) for step, row in self._held if until is None or step <= until]
        self._held = [(step, row) for step, row in self._held if until is not None and step > until]
        for step, row in due:
            self._run.do(lambda run, row=row, step=step: run.log(row, step=step))

    def log_result(self, result: Result, evaluations: Sequence[EvaluationRow]) -> None:
        """Put both files into the summary, for `resnet_exp.tracking.wandb_runs`, and upload the requested artifacts."""
        self._exit_code = 0
        if self._run is not None:
            summary = {"result": result_json(result), "evaluations": list(map(asdict, evaluations))}
            self._run.do(lambda run: run.summary.update(summary))
            self._run.do(self._log_artifacts)

    def log_stop(self) -> None:
        """Mark the run as stopped, to be resumed later."""
        if self._run is not None:
            self._run.do(lambda run: run.mark_preempting())

    def log_failure(self) -> None:
        """Mark the run as failed."""
        self.post_close()

    def post_close(self) -> None:
        """Finish the W&B run: upload what is left."""
        if self._run is not None:
            self._log_held()
            self._run.finish(self._exit_code)

    def _log_artifacts(self, run: Any) -> None:
        import wandb

        folder = self._folder
        files = {
            "result": ("result", [folder.result, folder.metrics, folder.environment]),
            "weights": ("model", [folder.weights]),
            "checkpoint": ("checkpoint", [folder.latest_checkpoint.resolve()]),
        }
        for name in self._artifacts:
            kind, paths = files[name]
            artifact = wandb.Artifact(f"{folder.path.name}-{name}", type=kind)
            for path in paths:
                artifact.add_file(str(path))
            run.log_artifact(artifact)


def tags(config: RunConfig) -> list[str]:
    """Model, dataset, data format, hardware, and who started the run: ``local`` or ``slurm``."""
    launcher = "slurm" if "SLURM_JOB_ID" in os.environ else "local"
    return [config.model.name, config.dataset.name, config.data.name, config.hardware.name, launcher]


def define_axes(run: Any) -> None:
    """Plot batch metrics against the batch, evaluation metrics against the epoch."""
    for axis, names in (
        (metric_names.BATCH, metric_names.BATCH_METRICS),
        (metric_names.EPOCH, metric_names.EVAL_METRICS),
    ):
        run.define_metric(axis, hidden=True)
        for name in names:
            run.define_metric(name, step_metric=axis)
