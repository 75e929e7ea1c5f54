"""Register the schema and the resolvers of the YAML files with Hydra."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from resnet_exp.config import hydra_versions
from resnet_exp.config.schema import (
    AdaptiveConfig,
    BasicLauncherConfig,
    GridConfig,
    LocalLauncherConfig,
    RunConfig,
    SlurmLauncherConfig,
)
from resnet_exp.core.paths import conf_dir as conf_dir
from resnet_exp.core.paths import sweeps_dir as sweeps_dir


def _scaled_pixels(pixels: int, image_scale: float) -> int:
    if image_scale == 1:
        return pixels
    # Progressive resizing works in steps of 4 pixels; it would never reach any other full size.
    return max(4, 4 * round(pixels * image_scale / 4))


def _default_cache(runs_dir: str) -> str:
    """``$XDG_CACHE_HOME`` or ``~/.cache``; beside the runs if the home is not writable, as on some clusters."""
    home = Path(os.environ.get("HOME") or "/nonexistent")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "resnet_exp"
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return str(cache) if os.access(existing, os.W_OK) else os.path.abspath(os.path.join(runs_dir, ".cache"))


def _px(pixels: int, _root_: DictConfig) -> int:
    return _scaled_pixels(pixels, _root_.dataset.image_scale)


def _eval_px(pixels: int, _root_: DictConfig) -> int:
    return _scaled_pixels(pixels, _root_.dataset.eval_scale)


def _batch(images: int, _root_: DictConfig) -> int:
    return max(1, round(images * _root_.dataset.batch_scale))


def _lr(lr: float, _root_: DictConfig) -> float:
    return lr * _root_.dataset.lr_scale


def _cache_dir(_root_: DictConfig) -> str:
    return _default_cache(_root_.runs_dir)


# OmegaConf passes the whole configuration to a parameter of this name.
RESOLVERS: dict[str, Callable[..., object]] = {
    "px": _px,
    "eval_px": _eval_px,
    "batch": _batch,
    "lr": _lr,
    "cache_dir": _cache_dir,
}


def register() -> None:
    """Register the schema and the resolvers; safe to call twice.

    ``${px:176}``, ``${eval_px:224}``, ``${batch:2048}`` and ``${lr:2.048}`` are a recipe's ImageNet numbers at the
    dataset's ``image_scale``, ``eval_scale``, ``batch_scale`` and ``lr_scale``. At a scale of 1 (every dataset but
    digits) each is the number itself.
    """
    # This loads the plugins first. They register their own `basic` and `submitit_local`, which ours then replace.
    Plugins.instance()
    hydra_versions.store("schema", RunConfig)
    hydra_versions.store("basic", BasicLauncherConfig, "hydra/launcher")
    hydra_versions.store("slurm_schema", SlurmLauncherConfig, "hydra/launcher")
    hydra_versions.store("submitit_local", LocalLauncherConfig, "hydra/launcher")
    hydra_versions.store("basic", GridConfig, "hydra/sweeper")
    hydra_versions.store("adaptive", AdaptiveConfig, "hydra/sweeper")
    for name, resolver in RESOLVERS.items():
        hydra_versions.register_resolver(name, resolver)
