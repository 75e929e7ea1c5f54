"""Finalized configurations without a command line."""

from __future__ import annotations

from hydra import compose, initialize_config_dir

from resnet_exp.config import resolvers
from resnet_exp.config.finalize import finalize
from resnet_exp.config.schema import RunConfig
from resnet_exp.core import paths


def make_config(*overrides: str) -> RunConfig:
    """What the command line makes of these overrides."""
    resolvers.register()
    with initialize_config_dir(str(paths.conf_dir()), version_base="1.3"):
        return finalize(compose("config", list(overrides)), list(overrides))
