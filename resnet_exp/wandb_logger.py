"""Weights & Biases through its own client; Composer 0.32.1's logger asks wandb 0.31 for what it no longer has."""

from __future__ import annotations

from typing import Any

import wandb
from composer.core import State
from composer.loggers import Logger, LoggerDestination
from composer.utils import dist


class WeightsAndBiases(LoggerDestination):
    """One W&B run for each run, whatever happens to it: the launcher gives its id in ``WANDB_RUN_ID``.

    Only rank 0 talks to W&B. Metrics have the batch as their step.
    """

    def __init__(self, project: str, group: str | None = None, entity: str | None = None) -> None:
        """`group` is the sweep."""
        self.settings: dict[str, Any] = {"project": project, "group": group, "entity": entity}
        self._run: Any = None

    def init(self, state: State, logger: Logger) -> None:
        """Begin, or go on."""
        if dist.get_global_rank() == 0:
            self._run = wandb.init(name=state.run_name, **self.settings)

    def log_hyperparameters(self, hyperparameters: dict[str, Any]) -> None:
        """Add to the run's configuration."""
        if self._run is not None:
            self._run.config.update(hyperparameters, allow_val_change=True)

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Log numbers at a batch."""
        if self._run is not None:
            self._run.log(metrics, step=step)

    def log_result(self, result: dict[str, Any], evaluations: list[dict[str, Any]]) -> None:
        """Put both files into the summary, for `resnet_exp.wandb_runs`."""
        if self._run is not None:
            self._run.summary.update({"result": result, "evaluations": evaluations})

    def post_close(self) -> None:
        """Write what is left."""
        if self._run is not None:
            self._run.finish()
