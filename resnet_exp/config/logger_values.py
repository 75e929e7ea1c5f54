"""What the settings of our own loggers may be, so that a wrong one is refused before anything starts. No torch."""

from __future__ import annotations

import math
from typing import Any

from resnet_exp.core.errors import RequestError

WANDB = "resnet_exp.loggers.wandb_logger.WeightsAndBiases"
ROWS = "resnet_exp.loggers.rows.Rows"
ARTIFACTS = ("result", "weights", "checkpoint")
FORMATS = ("csv", "jsonl")
# Longer than anybody waits, and short enough for the clocks that wait.
MOST_SECONDS = 86400


def check(name: str, entry: dict[str, Any]) -> None:
    """Check one entry of ``loggers``; raises `RequestError` on the first setting that is wrong."""
    if entry["_target_"] == ROWS and "format" in entry:
        _one_of(f"loggers.{name}.format", entry["format"], FORMATS)
    if entry["_target_"] == WANDB:
        _check_wandb(f"loggers.{name}", entry)


def _check_wandb(key: str, entry: dict[str, Any]) -> None:
    artifacts = entry.get("artifacts", [])
    if not isinstance(artifacts, list):
        raise RequestError(f"{key}.artifacts={artifacts}: use a list such as [{ARTIFACTS[0]}]")
    for artifact in artifacts:
        _one_of(f"{key}.artifacts", artifact, ARTIFACTS)
    for wait in ("init_seconds", "finish_seconds"):
        seconds = entry.get(wait, 1)
        is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and math.isfinite(seconds)
        # W&B's client takes 0 seconds to finish for no end of them.
        if not is_number or not 0 < seconds <= MOST_SECONDS:
            raise RequestError(f"{key}.{wait}={seconds}: use a number of seconds above 0, at most {MOST_SECONDS}")


def _one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RequestError(f"{key}={value} is unknown; use one of {', '.join(allowed)}")
