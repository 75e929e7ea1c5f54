"""The frontier of a sweep as one step of a W&B run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resnet_exp.loggers import metric_names


@dataclass(frozen=True)
class FrontierState:
    """What is logged: a table, its plot as a PNG, and the number of finished runs in them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    png: bytes
    runs: int


def log_frontier(run: Any, state: FrontierState, step: int) -> None:
    """Log `state` to a ``wandb.Run``."""
    import wandb
    from PIL import Image

    run.log(
        {
            metric_names.FRONTIER_TABLE: wandb.Table(columns=[*state.columns], data=[*state.rows]),
            metric_names.FRONTIER_PICTURE: wandb.Image(Image.open(io.BytesIO(state.png))),
            metric_names.FRONTIER_RUNS: state.runs,
        },
        step=step,
        # Otherwise W&B would send it only with the next step.
        commit=True,
    )
