"""An evaluation as a picture: is the model right as often as it says, which classes are hard, which size is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from resnet_exp.inference.evaluation import Evaluated
from resnet_exp.reporting.legends import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#999999"
# More names below each other cannot be read.
MOST_NAMED = 30
NAME_CHARACTERS = 24


def draw(found: Evaluated) -> Figure:
    """Panels: calibration, classes, and sizes where there are others."""
    panels = 3 if found.sizes else 2
    figure = Figure(figsize=(4.4 * panels, 4.6), layout="constrained")
    axes = figure.subplots(1, panels)
    _calibration(axes[0], found)
    _classes(axes[1], found)
    if found.sizes:
        _sizes(axes[2], found)
    title = f"{label(found.model)}: top-1 {found.top1:.2%} of {found.images:,} images"
    figure.suptitle(title, fontsize=11)
    return figure


def _calibration(panel: Axes, found: Evaluated) -> None:
    width = 100 / len(found.bins)
    used = [(number, one) for number, one in enumerate(found.bins) if one.images]
    panel.plot([0, 100], [0, 100], color=GRAY, linewidth=1, linestyle="--")
    panel.bar(
        [number * width for number, _ in used], [100 * one.accuracy for _, one in used], width, align="edge",
        color=BLUE, alpha=0.75, edgecolor="white",
    )  # fmt: skip
    share = [100 * one.images / found.images for _, one in used]
    panel.plot([number * width + width / 2 for number, _ in used], share, ".", color=ORANGE, markersize=7)
    panel.set(
        xlim=(0, 100), ylim=(0, 101), xlabel="confidence (%)", ylabel="%",
        title=f"calibration error {found.ece:.2%}",
    )  # fmt: skip
    panel.legend(["right as often as it says", "share of the images", "right answers"], fontsize=8, loc="upper left")


def _classes(panel: Axes, found: Evaluated) -> None:
    ordered = sorted(found.classes, key=lambda one: one.top1)
    values = [100 * one.top1 for one in ordered]
    if len(ordered) <= MOST_NAMED:
        panel.barh(range(len(ordered)), values, color=BLUE, alpha=0.75)
        panel.set_yticks(range(len(ordered)), [label(one.name, NAME_CHARACTERS) for one in ordered], fontsize=8)
        panel.set(xlim=(0, 100), xlabel="top-1 (%)", title="classes")
        return
    panel.plot(range(1, len(ordered) + 1), values, color=BLUE)
    panel.set(xlim=(1, len(ordered)), ylim=(0, 101), xlabel="classes, the hardest first", ylabel="top-1 (%)")
    panel.set_title(f"hardest: {label(ordered[0].name, NAME_CHARACTERS)} ({ordered[0].top1:.0%})")
    panel.grid(alpha=0.3)


def _sizes(panel: Axes, found: Evaluated) -> None:
    points = sorted({(one.crop, 100 * one.top1) for one in found.sizes} | {(found.crop, 100 * found.top1)})
    panel.plot([crop for crop, _ in points], [top1 for _, top1 in points], marker="o", color=BLUE)
    panel.plot([found.crop], [100 * found.top1], "o", color=ORANGE)
    panel.set_xticks([crop for crop, _ in points])
    panel.set(xlabel="image side (px); orange: the run's own", ylabel="top-1 (%)", title="sizes")
    panel.grid(alpha=0.3)
