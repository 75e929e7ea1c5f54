"""Tables and the picture of `benchmarks/data.py`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from data_loaders import FULL, MODES
from loader_process import REFERENCE, Found, Load

from resnet_exp.core.terminal import console


def spread(values: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} [{min(values):.2f}-{max(values):.2f}]"


def columns(passes: list[dict[str, float]], *keys: str) -> list[list[float]]:
    """What the passes of a loader found, by what it is."""
    return [[answer[key] for answer in passes] for key in keys]


def show(found: Found) -> None:
    """Print the table of our loaders."""
    console.say(
        f"{'loader':<46}{'CPU ms an image':>20}{'images/s a core':>17}{'FFCV own / this':>18}{'wall ms':>20}{'MiB':>7}"
    )
    for name, passes in found.items():
        cpu, wall, memory = columns(passes, "cpu", "wall", "memory")
        modes = [mode for mode in MODES if f" {mode}," in name]
        reference = found.get(f"FFCV's own, {modes[0]}, {FULL}" if modes else "", [])
        ratios = [theirs["cpu"] / ours for theirs, ours in zip(reference, cpu, strict=False)]
        ratio = spread(ratios) if ratios else ""
        speed = 1000 / statistics.median(cpu)
        console.say(f"{name:<46}{spread(cpu):>20}{speed:>17,.0f}{ratio:>18}{spread(wall):>20}{max(memory):>7,.0f}")


def show_peers(found: Found, load: Load) -> None:
    """Print the comparison in Markdown; ratios are to `REFERENCE` in the same round."""
    (reference,) = columns(found[REFERENCE], "cpu")
    heads = ["CPU ms an image", "CPU, times ours compiled", "images/s", "MiB"]
    if load.rate:
        heads = ["waits, share of the time", "images/s", "cores in use", "CPU ms an image"]
    console.say(f"| loader | {' | '.join(heads)} |\n|{' --- |' * (len(heads) + 1)}")
    for name, passes in found.items():
        cpu, wall, waited, memory = columns(passes, "cpu", "steady", "waited", "memory")
        speed = f"{1000 / statistics.median(wall):,.0f} [{1000 / max(wall):,.0f}-{1000 / min(wall):,.0f}]"
        cores = [busy / time for busy, time in zip(cpu, wall, strict=True)]
        ratio = spread([this / that for this, that in zip(cpu, reference, strict=True)])
        cells = [spread(cpu), ratio, speed, f"{max(memory):,.0f}"]
        if load.rate:
            cells = [spread(waited), speed, spread(cores), spread(cpu)]
        console.say(f"| {name} | {' | '.join(cells)} |")


def draw(found: Found, path: Path) -> None:
    """Draw the table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    values = [columns(passes, "cpu")[0] for passes in found.values()]
    middles = [statistics.median(passes) for passes in values]
    ranges = [[middle - min(v) for middle, v in zip(middles, values, strict=True)],
              [max(v) - middle for middle, v in zip(middles, values, strict=True)]]  # fmt: skip
    colors = ["#0072B2" if name.startswith("ours") else "#999999" for name in found]
    axes.barh(list(found), middles, xerr=ranges, color=colors, ecolor="#333333")
    axes.invert_yaxis()
    axes.set(xlabel="CPU milliseconds an image (median and range)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)
