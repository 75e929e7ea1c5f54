"""The schedule of a run as text and as a plot."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from resnet_exp.config.schedule import duration, learning_rate, scaled_duration, sizes
from resnet_exp.config.schema import RunConfig
from resnet_exp.core.terminal.text import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS = {"ep": "epoch", "ba": "batch"}


# Most sizes to list one by one; with more, list the first, the range between, and the last.
LISTED = 3


# Number of points of the learning rate curve.
POINTS = 200


def sizes_text(config: RunConfig) -> str:
    """The sizes as text: ``88 px for 13 epochs, 92 to 172 px for 12 epochs, 176 px for 7 epochs``."""
    _, unit = scaled_duration(config)
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
    return plural(count, UNITS[unit])


def learning_rate_text(config: RunConfig) -> str:
    """The learning rate schedule as text."""
    schedule, peak = config.schedule, config.optimizer.lr
    length, unit = scaled_duration(config)
    warmup, _ = duration(schedule.warmup, "schedule.warmup")
    if length <= warmup:
        top = learning_rate(config, length) if length < warmup else peak
        return f"0 to {top:.4g} in {_counted(length, unit)}: all of it is warm-up, which ssr does not scale"
    rise = f"0 to {peak:.4g} in {_counted(warmup, unit)}, then " if warmup else f"{peak:.4g}, "
    return f"{rise}a cosine down to {peak * schedule.alpha_f:.4g} over {_counted(length - warmup, unit)}"


def draw(config: RunConfig) -> Figure:
    """Draw image size and learning rate over the run."""
    from matplotlib.figure import Figure

    length, unit = scaled_duration(config)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    upper, lower = figure.subplots(2, sharex=True)
    sides = sizes(config)
    upper.stairs(sides, range(length + 1), baseline=None, linewidth=2, color="#0072B2")
    upper.set(ylabel="image size (px)", ylim=(0, 1.1 * max(sides)), title=config.folder.path.name)
    points = sorted({*(length * part / POINTS for part in range(POINTS + 1)), *_corners(config)})
    lower.plot(points, [learning_rate(config, point) for point in points], linewidth=2, color="#D55E00")
    lower.set(ylabel="learning rate", xlabel="epochs" if unit == "ep" else "batches", xlim=(0, length), ylim=(0, None))
    for axes in (upper, lower):
        axes.grid(alpha=0.3)
    return figure


def _corners(config: RunConfig) -> list[float]:
    length, _ = scaled_duration(config)
    warmup, _ = duration(config.schedule.warmup, "schedule.warmup")
    return [warmup] if warmup < length else []
