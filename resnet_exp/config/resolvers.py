"""Register the schema and the resolvers of the YAML files with Hydra."""

from __future__ import annotations

from collections.abc import Callable

from hydra.core.plugins import Plugins
from omegaconf import DictConfig

from resnet_exp.config import fit, hydra_versions
from resnet_exp.config.schema import (
    AdaptiveConfig,
    BasicLauncherConfig,
    GridConfig,
    LocalLauncherConfig,
    RunConfig,
    SlurmLauncherConfig,
)
from resnet_exp.core import paths
from resnet_exp.core.paths import conf_dir as conf_dir
from resnet_exp.core.paths import sweeps_dir as sweeps_dir


def _scaled_pixels(pixels: int, image_scale: float) -> int:
    if image_scale == 1:
        return pixels
    # Progressive resizing works in steps of 4 pixels; it would never reach any other full size.
    return max(4, 4 * round(pixels * image_scale / 4))


def _px(pixels: int, _root_: DictConfig) -> int:
    facts, scale = fit.facts_of(_root_), _root_.dataset.image_scale
    return _scaled_pixels(pixels, scale * (1 if facts is None else fit.pixels(facts)))


def _eval_px(pixels: int, _root_: DictConfig) -> int:
    facts, scale = fit.facts_of(_root_), _root_.dataset.eval_scale
    return _scaled_pixels(pixels, scale * (1 if facts is None else fit.pixels(facts)))


def _eval_batch(images: int, _root_: DictConfig) -> int:
    return max(1, round(images * _root_.dataset.batch_scale))


def _batch(images: int, _root_: DictConfig) -> int:
    facts, scaled = fit.facts_of(_root_), _eval_batch(images, _root_)
    if facts is None:
        return scaled
    return fit.batch(scaled, facts, max(1, _root_.hardware.devices) * _root_.hardware.nodes)


def _lr(lr: float, at: int = fit.RECIPE_BATCH, *, _root_: DictConfig) -> float:
    scaled = lr * _root_.dataset.lr_scale
    return scaled if fit.facts_of(_root_) is None else fit.learning_rate(scaled, at, _root_.train_batch_size)


def _warmup(duration: str, _root_: DictConfig) -> str:
    whole = _root_.schedule.max_duration
    return duration if fit.facts_of(_root_) is None else fit.warmup(duration, whole, _root_.ssr)


def _average(duration: str, _root_: DictConfig) -> str:
    facts = fit.facts_of(_root_)
    if facts is None:
        return duration
    return fit.average(duration, fit.batches(facts, _root_.train_batch_size, _root_.schedule.max_duration, _root_.ssr))


def _cache_dir(_root_: DictConfig) -> str:
    return paths.default_cache(_root_.runs_dir)


# OmegaConf passes the whole configuration to a parameter of this name.
RESOLVERS: dict[str, Callable[..., object]] = {
    "px": _px,
    "eval_px": _eval_px,
    "batch": _batch,
    "eval_batch": _eval_batch,
    "lr": _lr,
    "warmup": _warmup,
    "average": _average,
    "cache_dir": _cache_dir,
}


def register() -> None:
    """Register the schema and the resolvers; safe to call twice.

    ``${px:176}``, ``${eval_px:224}``, ``${batch:2048}`` and ``${lr:2.048}`` are a recipe's ImageNet numbers at the
    dataset's ``image_scale``, ``eval_scale``, ``batch_scale`` and ``lr_scale``. At a scale of 1 (every dataset not
    in the box) each is the number itself, and so is ``${eval_batch:2048}``, on which no result depends. On a small data
    set, they and ``${warmup:8ep}`` and ``${average:100ba}`` are what `resnet_exp.config.fit` makes of them, but for
    ``eval_batch``; ``${lr:0.01,64}`` is a rate for another batch than 2,048 images.
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
