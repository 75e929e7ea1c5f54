"""What differs between versions of Hydra, OmegaConf and Python: `make test-hydra14` tests Hydra 1.4.0rc3."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from inspect import signature
from typing import Any

import hydra
from hydra import version
from hydra._internal.utils import get_args_parser
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

BEFORE_14 = hydra.__version__.startswith("1.3.")


def store(name: str, node: object, group: str | None = None) -> None:
    """Store a node, in place of one that Hydra or an earlier call has stored; 1.4 has to be told that this is meant."""
    nodes = ConfigStore.instance()
    replace: Any = {"replace": True} if "replace" in signature(nodes.store).parameters else {}
    nodes.store(name=name, node=node, group=group, **replace)


def register_resolver(name: str, resolver: Callable[..., object]) -> None:
    """Register a resolver, in place of an earlier one."""
    # In 2.3 that of the later name is another function, in 2.4 the earlier one warns.
    register: Any = OmegaConf.register_new_resolver if BEFORE_14 else OmegaConf.register_resolver
    register(name, resolver, replace=True)


def args_parser() -> argparse.ArgumentParser:
    """Hydra's parser of a command line.

    From Python 3.14 on, argparse looks at each help text as soon as it has it. That of hydra-core 1.3.8 is no text
    yet (facebookresearch/hydra#3121).
    """
    parser: Any = argparse.ArgumentParser
    parser._check_help = _take_any
    try:
        return get_args_parser()
    finally:
        del parser._check_help  # the inherited one counts again


def _take_any(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
    """In place of argparse's own check."""


def use_current_behavior() -> None:
    """Have Hydra 1.3 do as 1.4 does, which knows no other way."""
    version.setbase("1.3" if BEFORE_14 else version._UNSPECIFIED_)  # pyright: ignore[reportPrivateUsage]
