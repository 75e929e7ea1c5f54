"""``dataset.fit=auto``: the values of a recipe that a small data set of the user's own needs otherwise.

The recipes are made for 1,281,167 images. 300 images cannot fill a batch of 2,048, and so few batches end before a
warm-up of 8 epochs or an average over 100 batches is of use. docs/photos.md has the rule, and what it gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from resnet_exp.config import schedule
from resnet_exp.config.schema import NAMED_DATASETS, RunConfig
from resnet_exp.core.records import is_object

FITS = ("auto", "none")
# Fewer training images than this are a small data set.
SMALL = 2**16
# Of an epoch, at least; and images of a batch, at least, for the statistics of BatchNorm.
BATCHES, FEWEST_IMAGES = 8, 8
# The batch that the learning rates of the recipes are for.
RECIPE_BATCH = 2048
# Most of a run that its warm-up, and the half-life of its average, may take.
WARMUP_PART, AVERAGE_PART = 4, 16
RECIPE_HALF_LIFE = 100
# Side in pixels at which the recipes evaluate, and the least that images are loaded at.
RECIPE_SIDE, LEAST_SIDE = 224, 32
# What the rule changes, each with the reason that a run shows; empty where it is that of the value before.
REASONS = {
    "train_batch_size": f"for {BATCHES} batches an epoch or more",
    "optimizer.lr": "in proportion to the batch",
    "schedule.warmup": f"at most 1/{WARMUP_PART} of the run",
    "algorithms.ema.half_life": f"at most 1/{AVERAGE_PART} of the run",
    "algorithms.ema.update_interval": "",
    "resolution.train": "for images of this size",
    "resolution.eval_resize": "",
    "resolution.eval_crop": "",
}


@dataclass(frozen=True)
class Facts:
    """What the rule asks of a data set: the number of training images, and the median of their shorter sides."""

    images: int
    side: int


def facts_of(config: DictConfig) -> Facts | None:
    """What the rule goes by in a composed configuration; None where the recipe's values stay."""
    dataset = config.dataset
    images = dataset.train_images
    if dataset.fit != "auto" or dataset.name in NAMED_DATASETS or not images or images >= SMALL:
        return None
    return Facts(images, dataset.image_side or RECIPE_SIDE)


def batch(recipe: int, facts: Facts, ranks: int) -> int:
    """Images of a batch: a power of two, then a multiple of `ranks`; at most the recipe's."""
    fitting = 2 ** int(math.log2(max(1, facts.images // BATCHES)))
    size = min(max(FEWEST_IMAGES, fitting), facts.images)
    return min(recipe, -(-size // ranks) * ranks)


def learning_rate(recipe: float, recipe_batch: int, batch: int) -> float:
    """The learning rate of a smaller batch, with three digits."""
    return recipe if batch >= recipe_batch else float(f"{recipe * batch / recipe_batch:.3g}")


def pixels(facts: Facts) -> float:
    """The factor of a recipe's sizes in pixels."""
    return min(1.0, max(LEAST_SIDE, facts.side) / RECIPE_SIDE)


def warmup(recipe: str, max_duration: str, ssr: float) -> str:
    """The warm-up of a short run; that of the recipe if they are counted in different units."""
    (length, unit), (most, own) = (schedule.duration(text, "schedule") for text in (max_duration, recipe))
    return recipe if unit != own else f"{min(most, int(length * ssr) // WARMUP_PART)}{unit}"


def batches(facts: Facts, batch: int, max_duration: str, ssr: float) -> int:
    """Batches of a run."""
    length, unit = schedule.duration(max_duration, "schedule.max_duration")
    return int(length * ssr) * (facts.images // batch if unit == "ep" else 1)


def average(recipe: str, batches: int) -> str:
    """A duration of EMA, halved until the half-life of the recipes is a small part of the run."""
    length, unit = schedule.duration(recipe, "algorithms.ema")
    halvings = max(0, math.ceil(math.log2(RECIPE_HALF_LIFE * AVERAGE_PART / max(1, batches))))
    return recipe if unit != "ba" else f"{max(1, length >> halvings)}ba"


def values_of(config: DictConfig) -> dict[str, object]:
    """What the rule may change, resolved; without what the configuration does not have."""
    found = {key: OmegaConf.select(config, key) for key in REASONS}
    return {key: value for key, value in found.items() if value is not None}


def text(config: RunConfig) -> str | None:
    """What a run says of the rule: each value that it changed, the recipe's, and why; None if it changed none."""
    dataset = config.dataset
    if not dataset.fitted:
        return None
    shown = [
        f"{key}={_value(config, key)} {REASONS[key]}, not {old}" for key, old in dataset.fitted.items() if REASONS[key]
    ]
    side = "" if dataset.image_side is None else f" of {dataset.image_side} px"
    return f"{dataset.train_images:,} training images{side}: {'; '.join(shown)} (dataset.fit=none keeps the recipe's)"


def _value(config: RunConfig, key: str) -> object:
    value: object = config
    for name in key.split("."):
        value = value[name] if is_object(value) else getattr(value, name)
    return value
