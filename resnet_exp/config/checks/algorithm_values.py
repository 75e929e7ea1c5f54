"""The values that each algorithm takes. The classes themselves check little, and only after the imports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from resnet_exp.config import schedule
from resnet_exp.config.schema import TARGET, Entry, RunConfig
from resnet_exp.core.errors import RequestError

# Modules of the algorithms that this package knows; a user's own class may have the same name.
KNOWN = ("composer.algorithms.", "resnet_exp.training.algorithms.")


class Values(Protocol):
    """The values of a setting."""

    @property
    def wanted(self) -> str:
        """What to use, as the end of an error."""
        ...

    def has(self, value: object) -> bool:
        """Whether a value is one of them."""
        ...


@dataclass(frozen=True)
class Number:
    """Finite numbers from `low` to `high`, both included unless `above` or `below` leaves them out."""

    low: float = 0
    high: float = math.inf
    above: bool = False
    below: bool = False
    whole: bool = False

    @property
    def wanted(self) -> str:
        start = f"above {self.low:g}" if self.above else f"{self.low:g}"
        end = "" if self.high == math.inf else f" to {'below ' * self.below}{self.high:g}"
        more = " or more" if not (end or self.above) else ""
        return f"{'a whole number, ' * self.whole}{start}{end}{more}"

    def has(self, value: object) -> bool:
        """Whether it is such a number; true and false are none."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        left_out = (self.above and value == self.low) or (self.below and value == self.high)
        return math.isfinite(value) and self.low <= value <= self.high and not left_out


@dataclass(frozen=True)
class Choice:
    """A few words, or true and false."""

    values: tuple[str | bool, ...]

    @property
    def wanted(self) -> str:
        return ", ".join(str(value).lower() if isinstance(value, bool) else value for value in self.values)

    def has(self, value: object) -> bool:
        """Whether it is one of the values; 1 is not true."""
        return any(type(value) is type(one) and value == one for one in self.values)


@dataclass(frozen=True)
class Duration:
    """Whole epochs or batches, at least one."""

    wanted: str = "whole epochs (2ep) or batches (100ba), 1 or more"

    def has(self, value: object) -> bool:
        """Whether it is such a text."""
        match = schedule.DURATION.fullmatch(value) if isinstance(value, str) else None
        return match is not None and int(match[1]) > 0


FLAG = Choice((True, False))
SHARE = Number(0, 1)
COUNT = Number(1, whole=True)
# By class and setting; a test holds them against the files of ``conf/algorithms``, and words against Composer's.
VALUES: dict[tuple[str | None, str], Values] = {
    ("BlurPool", "blur_first"): FLAG,
    ("BlurPool", "min_channels"): COUNT,
    ("BlurPool", "replace_convs"): FLAG,
    ("BlurPool", "replace_maxpools"): FLAG,
    ("ColOut", "batch"): FLAG,
    ("ColOut", "p_col"): Number(0, 1, below=True),
    ("ColOut", "p_row"): Number(0, 1, below=True),
    ("ColOut", "resize_target"): Choice((True, False, "auto")),
    ("CutMix", "alpha"): Number(above=True),
    ("CutMix", "interpolate_loss"): FLAG,
    ("CutMix", "uniform_sampling"): FLAG,
    ("EMA", "half_life"): Duration(),
    ("EMA", "smoothing"): Number(0, 1, above=True, below=True),
    ("EMA", "update_interval"): Duration(),
    ("LabelSmoothing", "smoothing"): SHARE,
    ("MixUp", "alpha"): Number(above=True),
    ("MixUp", "interpolate_loss"): FLAG,
    ("ProgressiveResizing", "mode"): Choice(("resize", "crop")),
    ("ProgressiveResizing", "initial_scale"): Number(0, 1, above=True),
    ("ProgressiveResizing", "delay_fraction"): SHARE,
    ("ProgressiveResizing", "finetune_fraction"): SHARE,
    ("ProgressiveResizing", "size_increment"): COUNT,
    ("ProgressiveResizing", "resize_targets"): FLAG,
    ("RandAugment", "augmentation_set"): Choice(("all", "safe", "original")),
    ("RandAugment", "depth"): Number(whole=True),
    ("RandAugment", "severity"): Number(0, 10, whole=True),
    ("SAM", "epsilon"): Number(),
    ("SAM", "interval"): COUNT,
    ("SAM", "rho"): Number(above=True),
    ("StochasticDepth", "target_layer_name"): Choice(("ResNetBottleneck",)),
    ("StochasticDepth", "stochastic_method"): Choice(("block", "sample")),
    ("StochasticDepth", "drop_distribution"): Choice(("uniform", "linear")),
    ("StochasticDepth", "drop_rate"): SHARE,
    ("StochasticDepth", "reset_blocks"): FLAG,
}


def known_class(entry: Entry) -> str | None:
    """The class of an algorithm that this package knows; None for a user's own algorithm."""
    target: str = entry[TARGET]
    return target.rpartition(".")[2] if target.startswith(KNOWN) else None


def check(config: RunConfig) -> None:
    """Check the settings of all algorithms; raises `RequestError` on the first that is wrong."""
    for name, entry in config.algorithms.items():
        kind = known_class(entry)
        for key, value in entry.items():
            values = VALUES.get((kind, key))
            unset = value is None and (kind, key) == ("EMA", "half_life")  # where its smoothing is given instead
            if values is not None and not (unset or values.has(value)):
                shown = str(value).lower() if isinstance(value, bool) else value
                raise RequestError(f"algorithms.{name}.{key}={shown} is out of range; use {values.wanted}")
        _check_together(f"algorithms.{name}", kind, entry)
        if config.init_from is not None and kind == "StochasticDepth" and entry.get("reset_blocks"):
            raise RequestError(
                f"algorithms.{name}.reset_blocks=true would lose the weights of init_from={config.init_from}; add "
                f"algorithms.{name}.reset_blocks=false"
            )
    _check_smallest_images(config)


def _check_together(key: str, kind: str | None, entry: Entry) -> None:
    """Check settings that are right one by one."""
    if kind == "EMA":
        half_life, interval = entry.get("half_life"), entry.get("update_interval")
        if (half_life is None) == (entry.get("smoothing") is None):
            raise RequestError(f"{key} needs one of half_life and smoothing; set the other to null")
        if half_life and interval and half_life[-2:] != interval[-2:]:
            raise RequestError(f"{key}.update_interval={interval} must be in {half_life[-2:]}, as half_life is")
    if kind == "ProgressiveResizing":
        delay, finetune = entry.get("delay_fraction", 0), entry.get("finetune_fraction", 0)
        if delay + finetune > 1:
            raise RequestError(
                f"{key}.delay_fraction={delay} and finetune_fraction={finetune} are more than the whole run; use 1 or "
                "less together"
            )
    if kind == "BlurPool" and not (entry.get("replace_convs", True) or entry.get("replace_maxpools", True)):
        raise RequestError(f"{key} does nothing without replace_convs and replace_maxpools; use ~{key}")


def _check_smallest_images(config: RunConfig) -> None:
    """Refuse steps and cuts that leave nothing of an image."""
    if schedule.size_at(config, 0.0) < 1:
        named = [
            f"algorithms.{name}.{key}={value}"
            for name in ("colout", "progressive_resizing")
            for key, value in config.algorithms.get(name, {}).items()
            if key in ("p_col", "initial_scale", "size_increment")
        ]
        raise RequestError(
            f"{' '.join(named)} leave nothing of images of resolution.train={config.resolution.train}; use smaller "
            "steps or larger images"
        )
