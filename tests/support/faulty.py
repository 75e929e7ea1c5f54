"""A tracker that fails at each batch."""

from __future__ import annotations

from typing import Any

from composer.loggers import LoggerDestination


class Faulty(LoggerDestination):
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        raise ConnectionError("nobody is\nthere")
