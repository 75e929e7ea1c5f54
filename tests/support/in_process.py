"""A run of one rank in the process of the tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from resnet_exp.config.schema import RunConfig
from resnet_exp.launch.ranks import RENDEZVOUS

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Training


def build_training(config: RunConfig) -> Training:
    """Build a run in its new folder.

    Composer notes in the environment that there is one rank, where all later tests of this process, and what they
    start, would find it.
    """
    from resnet_exp.training.trainer import Training

    config.folder.path.mkdir(parents=True, exist_ok=True)
    before = place()
    try:
        return Training(config, config.folder)
    finally:
        set_place(before)


def place() -> dict[str, str | None]:
    """What the environment says of the ranks of a run."""
    return {name: os.environ.get(name) for name in RENDEZVOUS}


def set_place(values: dict[str, str | None]) -> None:
    """Have the environment say it."""
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
