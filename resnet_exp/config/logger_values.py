"""What the settings of our own loggers may be, so that a wrong one is refused before anything starts. No torch."""

from __future__ import annotations

from resnet_exp.core.errors import RequestError


def _one_of(key: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RequestError(f"{key}={value} is unknown; use one of {', '.join(allowed)}")
