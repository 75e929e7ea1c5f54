"""Learning curves of run folders."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from resnet_exp.core import files
from resnet_exp.core.errors import RequestError
from resnet_exp.core.terminal.text import time_unit
from resnet_exp.reporting.legends import MAX_NAMES, label, put_legend
from resnet_exp.results import parse
from resnet_exp.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png", ".pdf")
# Color of runs without a name.
OTHERS = "#999999"
# Metadata without the date: the same plot gives the same file.
DATELESS = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Curve:
    """Top-1 (fractions) of one run against its training time in seconds; `dataset` is empty if unknown."""

    name: str
    seconds: list[float]
    top1: list[float]
    dataset: str = ""


def collect_curve(run: RunFolder) -> Curve:
    """Read the evaluations of a run, finished or not.

    Raises:
        RequestError: there are none, or they cannot be read.
    """
    points: parse.Curve = ()
    try:
        points = parse.parse_curve(files.read_bytes(run.metrics))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{run.metrics} cannot be drawn ({why}); leave this run out") from error
    if not points:
        raise RequestError(f"{run.path} has no evaluations yet (no {run.metrics.name}); give a run folder that has")
    return Curve(run.path.name, [seconds for seconds, _ in points], [top1 for _, top1 in points], _dataset(run))


def _dataset(run: RunFolder) -> str:
    """Name of the dataset, with its folder if it has one; empty if the configuration cannot be read."""
    try:
        config = yaml.load(files.read_bytes(run.config), yaml.CSafeLoader)
        name, folder = config["dataset"]["name"], config["dataset"].get("dir")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return ""
    return f"{name} in {folder}" if folder else str(name)


def mixed_datasets(curves: Sequence[Curve]) -> list[str]:
    """The datasets of the curves if there are several, in their order: their top-1 do not compare."""
    found = list(dict.fromkeys(curve.dataset for curve in curves if curve.dataset))
    return found if len(found) > 1 else []


def draw_curves(curves: Sequence[Curve]) -> Figure:
    """Plot top-1 in percent against training time, one line per run, labeled with its last value.

    Of more than `MAX_NAMES` runs, the last ones are gray and share a name. Runs of several datasets are labeled with
    theirs.
    """
    from matplotlib.figure import Figure

    unit, divisor = time_unit(max(curve.seconds[-1] for curve in curves))
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    mixed = len(mixed_datasets(curves)) > 1
    named = curves if len(curves) <= MAX_NAMES else curves[: MAX_NAMES - 1]
    keys: dict[str, Artist] = {}
    for number, curve in enumerate(curves):
        times, tops = [seconds / divisor for seconds in curve.seconds], [100 * top1 for top1 in curve.top1]
        if number >= len(named):
            (line,) = axes.plot(times, tops, color=OTHERS, linewidth=0.8, zorder=1)
            keys[f"{len(curves) - len(named):,} other runs"] = line
            continue
        (line,) = axes.plot(times, tops, marker=".", color=f"C{number % 10}", linestyle="-" if number < 10 else "--")
        where = f" ({label(curve.dataset or 'unknown dataset')})" if mixed else ""
        keys[f"{label(curve.name)}: {curve.top1[-1]:.2%}{where}"] = line
    axes.set(xlabel=f"training time ({unit}, evaluation left out)", ylabel="top-1 (%)", xlim=(0, None), ylim=(0, 100))
    axes.grid(alpha=0.3)
    put_legend(figure, keys)
    return figure


def output_path(text: str, name: str) -> Path:
    """Path of the plot given by option `name`; raises `RequestError` if it cannot be written as a plot."""
    path = Path(text)
    if path.suffix not in FORMATS:
        raise RequestError(f"{name} has no known ending; use {', '.join(FORMATS)}")
    if not os.path.isdir(path.parent):
        raise RequestError(f"{name}: {path.parent} is not a folder")
    if os.path.isdir(path):
        raise RequestError(f"{name} is a folder; give a file")
    return path


def save(figure: Figure, path: Path, name: str) -> None:
    """Write a plot atomically.

    Raises:
        RequestError: it cannot be written; `name` is the option that requested it.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        with files.writing(name, "give another file"):
            figure.savefig(temporary, dpi=150, metadata=DATELESS.get(path.suffix))
            files.move_into_place(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
