"""The course of a run, as Composer will have it: image size and learning rate over its length. No torch.

Sources: composer 0.32.1 ``algorithms/progressive_resizing``, ``algorithms/colout``, ``optim/scheduler.py``; the tests
hold it against the original system's record.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import TYPE_CHECKING, Any

from resnet_exp.config import validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {"ep": ("epoch", "epochs"), "ba": ("batch", "batches")}
# Sizes that are listed one by one; of more, the first, the last and what lies between.
LISTED = 3
# Steps that a mean over the run is made of.
SAMPLED = 2000
# Points of the drawn learning rate.
POINTS = 200


def size_at(config: dict[str, Any], elapsed: float) -> int:
    """Side in pixels of the training images once a fraction `elapsed` of the run is over."""
    side: int = config["resolution"]["train"]
    if colout := config["algorithms"].get("colout"):
        side = int((1 - colout["p_col"]) * side)
    resizing = config["algorithms"].get("progressive_resizing")
    if resizing is None:
        return side
    scale = resizing["initial_scale"] + (1 - resizing["initial_scale"]) * _grown(resizing, elapsed)
    step = resizing["size_increment"]
    pinned = round(side * scale / step) * step
    # As torch rounds a scale factor; and nothing is ever enlarged: 167 px, which rounds up to 168, stays as it is.
    return min(side, math.floor(side * (pinned / side)))


def loaded_size(config: dict[str, Any], epoch: int, batch: int, batches: int) -> int:
    """Side in pixels at which images are loaded with ``data.decode=scheduled``, for a batch of an epoch.

    ColOut cuts it down to `size_at` of that moment: nothing is left for progressive resizing to shrink.

    Args:
        config: the run's.
        epoch: from 0.
        batch: of the epoch, from 0.
        batches: an epoch.
    """
    full: int = config["resolution"]["train"]
    length, unit = validate.scaled_duration(config)
    wanted = size_at(config, (epoch if unit == "ep" else epoch * batches + batch) / length)
    if wanted == size_at(config, 1.0):
        return full
    left = 1 - config["algorithms"].get("colout", {"p_col": 0})["p_col"]
    return next(side for side in range(wanted, full + 1) if int(left * side) == wanted)


def _grown(resizing: dict[str, Any], elapsed: float) -> float:
    delay = resizing["delay_fraction"]
    growing = 1 - delay - resizing["finetune_fraction"]
    if elapsed < delay:
        return 0.0
    return min(1.0, (elapsed - delay) / growing) if growing > 0 else 1.0


def sizes(config: dict[str, Any]) -> list[int]:
    """Side in pixels of the training images in each epoch, or batch where the schedule counts batches.

    Composer measures the elapsed part in the schedule's unit: within an epoch the size stays.
    """
    length, _ = validate.scaled_duration(config)
    return [size_at(config, step / length) for step in range(length)]


def mean_area(config: dict[str, Any]) -> float:
    """Mean area of the training images over the run, in pixels: what an image costs grows with it.

    Of a schedule in batches, which has tens of thousands, as many steps are looked at as tell it.
    """
    length, _ = validate.scaled_duration(config)
    steps = range(0, length, math.ceil(length / SAMPLED))
    return sum(size_at(config, step / length) ** 2 for step in steps) / len(steps)


def learning_rate(config: dict[str, Any], elapsed: float) -> float:
    """Learning rate once `elapsed` epochs (or batches, as the schedule counts) are over: warm-up, then a cosine."""
    schedule, peak = config["schedule"], float(config["optimizer"]["lr"])
    length, _ = validate.scaled_duration(config)
    warmup, _ = validate.duration(schedule["warmup"], "schedule.warmup")
    if elapsed < warmup:
        return peak * elapsed / warmup
    # At the end of a run that is all warm-up there is nothing left to fall.
    fraction = (elapsed - warmup) / (length - warmup) if length > warmup else 0.0
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, fraction)))
    return peak * (schedule["alpha_f"] + (1 - schedule["alpha_f"]) * cosine)


def sizes_text(config: dict[str, Any]) -> str:
    """The sizes in words: ``88 px for 13 epochs, 92 to 172 px for 12 epochs, 176 px for 7 epochs``."""
    _, unit = validate.scaled_duration(config)
    runs = [(side, len(list(same))) for side, same in groupby(sizes(config))]
    if len(runs) > LISTED:
        between = sum(count for _, count in runs[1:-1])
        inner = f"{runs[1][0]} to {runs[-2][0]} px for {_counted(between, unit)}"
        parts = [_part(*runs[0], unit), inner, _part(*runs[-1], unit)]
    else:
        parts = [_part(*run, unit) for run in runs]
    return ", ".join(parts)


def _part(side: int, count: int, unit: str) -> str:
    return f"{side} px for {_counted(count, unit)}"


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {UNITS[unit][count != 1]}"


def learning_rate_text(config: dict[str, Any]) -> str:
    """The learning rate in words."""
    schedule, peak = config["schedule"], config["optimizer"]["lr"]
    length, unit = validate.scaled_duration(config)
    warmup, _ = validate.duration(schedule["warmup"], "schedule.warmup")
    if length <= warmup:
        top = learning_rate(config, length) if length < warmup else peak
        return f"0 to {top:.4g} in {_counted(length, unit)}: all of it is warm-up, which ssr does not scale"
    rise = f"0 to {peak:.4g} in {_counted(warmup, unit)}, then " if warmup else f"{peak:.4g}, "
    return f"{rise}a cosine down to {peak * schedule['alpha_f']:.4g} over {_counted(length - warmup, unit)}"


def draw(config: dict[str, Any]) -> Figure:
    """Draw image size and learning rate over the run."""
    from matplotlib.figure import Figure

    length, unit = validate.scaled_duration(config)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    sides = sizes(config)
    upper.stairs(sides, range(length + 1), baseline=None, linewidth=2, color="#0072B2")
    upper.set(ylabel="image size (px)", ylim=(0, 1.1 * max(sides)), title=config["run_id"])
    points = sorted({*(length * part / POINTS for part in range(POINTS + 1)), *_corners(config)})
    lower.plot(points, [learning_rate(config, point) for point in points], linewidth=2, color="#D55E00")
    lower.set(ylabel="learning rate", xlabel=UNITS[unit][1], xlim=(0, length), ylim=(0, None))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def _corners(config: dict[str, Any]) -> list[float]:
    length, _ = validate.scaled_duration(config)
    warmup, _ = validate.duration(config["schedule"]["warmup"], "schedule.warmup")
    return [warmup] if warmup < length else []
