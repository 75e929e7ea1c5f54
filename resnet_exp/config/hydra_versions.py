"""Names that Hydra 1.4.0rc3 and OmegaConf 2.4 have changed since 1.3 and 2.3; `make test-hydra14` tests them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import hydra
from hydra import version
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


def use_current_behavior() -> None:
    """Have Hydra 1.3 do as 1.4 does, which knows no other way."""
    version.setbase("1.3" if BEFORE_14 else version._UNSPECIFIED_)  # pyright: ignore[reportPrivateUsage]
