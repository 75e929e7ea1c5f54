"""The schedule of a run as Composer computes it: image size and learning rate over its length.

Sources: composer 0.32.1 ``algorithms/progressive_resizing``, ``algorithms/colout``, ``optim/scheduler.py``; the tests
hold it against the original system's record.
"""

from __future__ import annotations

import math
import re

from resnet_exp.config.schema import Entry, RunConfig
from resnet_exp.core.errors import RequestError

# Number of steps for a mean over the run.
SAMPLED = 2000
# Composer's defaults, for an entry of the user's own with ``_target_`` alone.
COLOUT = {"p_col": 0.15}
RESIZING = {"initial_scale": 0.5, "delay_fraction": 0.5, "finetune_fraction": 0.2, "size_increment": 4}


def size_at(config: RunConfig, elapsed: float) -> int:
    """Side in pixels of the training images after a fraction `elapsed` of the run."""
    side = config.resolution.train
    if colout := config.algorithms.get("colout"):
        side = int((1 - colout.get("p_col", COLOUT["p_col"])) * side)
    resizing = config.algorithms.get("progressive_resizing")
    if resizing is None or side == 0:
        return side
    resizing = {**RESIZING, **resizing}
    scale = resizing["initial_scale"] + (1 - resizing["initial_scale"]) * _growth(resizing, elapsed)
    step = resizing["size_increment"]
    pinned = round(side * scale / step) * step
    # Rounded as torch rounds a scale factor. Images are never enlarged: 167 px, which rounds up to 168, stays 167.
    return min(side, math.floor(side * (pinned / side)))


def loaded_size(config: RunConfig, epoch: int, batch: int, batches: int) -> int:
    """Side in pixels at which images are loaded with ``data.decode=scheduled``, for a batch of an epoch.

    ColOut cuts it down to the current `size_at`, so nothing is left for progressive resizing to shrink.

    Args:
        config: the run's.
        epoch: from 0.
        batch: of the epoch, from 0.
        batches: an epoch.
    """
    full = config.resolution.train
    length, unit = scaled_duration(config)
    wanted = size_at(config, (epoch if unit == "ep" else epoch * batches + batch) / length)
    if wanted == size_at(config, 1.0):
        return full
    left = 1 - {**COLOUT, **config.algorithms["colout"]}["p_col"] if "colout" in config.algorithms else 1
    return next(side for side in range(wanted, full + 1) if int(left * side) == wanted)


def _growth(resizing: Entry, elapsed: float) -> float:
    delay = resizing["delay_fraction"]
    growing = 1 - delay - resizing["finetune_fraction"]
    if elapsed < delay:
        return 0.0
    return min(1.0, (elapsed - delay) / growing) if growing > 0 else 1.0


def sizes(config: RunConfig) -> list[int]:
    """Side in pixels of the training images in each epoch, or batch where the schedule counts batches.

    Composer measures progress in the schedule's unit: the size stays constant within an epoch.
    """
    length, _ = scaled_duration(config)
    return [size_at(config, step / length) for step in range(length)]


def mean_area(config: RunConfig) -> float:
    """Mean area of the training images over the run, in pixels: the cost of an image grows with it.

    A schedule in batches has tens of thousands of steps; a sample of them is averaged.
    """
    length, _ = scaled_duration(config)
    steps = range(0, length, math.ceil(length / SAMPLED))
    return sum(size_at(config, step / length) ** 2 for step in steps) / len(steps)


def learning_rate(config: RunConfig, elapsed: float) -> float:
    """Learning rate after `elapsed` epochs (or batches, in the schedule's unit): warm-up, then a cosine."""
    schedule, peak = config.schedule, config.optimizer.lr
    length, _ = scaled_duration(config)
    warmup, _ = duration(schedule.warmup, "schedule.warmup")
    if elapsed < warmup:
        return peak * elapsed / warmup
    # A run that is all warm-up has no decay.
    fraction = (elapsed - warmup) / (length - warmup) if length > warmup else 0.0
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return peak * (schedule.alpha_f + (1 - schedule.alpha_f) * cosine)


DURATION = re.compile(r"(\d+)(ep|ba)")


def duration(text: str, key: str) -> tuple[int, str]:
    """Split ``90ep`` into 90 and ``ep``; `key` names the setting in the error."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise RequestError(f"{key}={text} is not a duration; use whole epochs (90ep) or batches (56250ba)")
    return int(match[1]), match[2]


def scaled_duration(config: RunConfig) -> tuple[int, str]:
    """Length of the run: ``max_duration * ssr``, truncated as Composer does (90 * 0.7 is 62.99..., so 62)."""
    length, unit = duration(config.schedule.max_duration, "schedule.max_duration")
    return int(length * config.ssr), unit
