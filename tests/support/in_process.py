"""A run of one rank in the process of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resnet_exp.config.schema import RunConfig
from resnet_exp.core.machine.processes import variables_kept
from resnet_exp.launch.ranks import RENDEZVOUS

if TYPE_CHECKING:
    from resnet_exp.training.trainer import Training


def build_training(config: RunConfig) -> Training:
    """Build a run in its new folder.

    Composer notes in the environment that this is rank 0, where later tests, and what they start, would find it.
    """
    from resnet_exp.training.trainer import Training

    config.folder.path.mkdir(parents=True, exist_ok=True)
    with variables_kept(RENDEZVOUS):
        return Training(config, config.folder)
