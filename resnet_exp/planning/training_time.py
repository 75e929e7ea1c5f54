"""How long a run would train, and the basis of that estimate. Nothing is written.

The basis is finished runs of the same kind in the same folder, or else what was measured on such a GPU, or else
published speeds of similar hosts: of as many GPUs, or on paper of others. Without any there is no estimate.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import statistics
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from resnet_exp.config import identity, schedule
from resnet_exp.config.schema import NAMED_DATASETS, RunConfig
from resnet_exp.core.errors import RequestError, RunFailed
from resnet_exp.core.terminal.text import below_here, between, span
from resnet_exp.data import formats
from resnet_exp.data.conversion.files import ConvertedFiles
from resnet_exp.data.images import image_tree
from resnet_exp.launch.config_file import stored_config
from resnet_exp.planning.scaling import extrapolate, published_speeds
from resnet_exp.planning.scaling.extrapolate import PaperTime
from resnet_exp.results.datasets import KNOWN_IMAGES
from resnet_exp.runs import sweep_manifest
from resnet_exp.runs.folder import CANNOT_BE_READ, RunFolder, list_runs
from resnet_exp.runs.result import Result, read_result, recipe_text

# Training images of well-known datasets, if they have all of their classes.
KNOWN_SIZES = {
    (name, classes): KNOWN_IMAGES[name] for name, classes in (("digits", 10), ("imagenet", 1000), ("photos", 11))
}
# Most files of an image folder to count; the size of a larger one is unknown, as counting would take too long.
COUNTED_FILES = 200_000
# Tolerance for equal mean image areas: with progressive resizing, a short run may only have small images.
SAME_AREA = 0.08
# Most finished runs for one estimate: the newest.
NEWEST = 100
SHAPE = ("block", "layers", "groups", "width_per_group", "sync_batchnorm")
# Notes on what is left out.
SHOWN = 3
# A first epoch of 100 batches, for a schedule in batches of a dataset whose size is unknown.
MEASURED_BATCHES = 100


@dataclass(frozen=True)
class Estimate:
    """Training time in seconds, from `low` to `high` (often the same), and the basis of the estimate."""

    low: float
    high: float
    basis: str


class History:
    """The finished runs of a folder: how fast they were, and on how many images."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir = runs_dir
        self._left_out: list[str] = []
        self._finished: dict[str, list[tuple[RunFolder, Result]]] = {}
        self._alike: dict[str, list[Result]] = {}
        for run in _newest_first(runs_dir, self._left_out):
            try:
                if result := read_result(run):
                    self._finished.setdefault(_kind_of_result(result), []).append((run, result))
            except RequestError as error:
                self._left_out.append(str(error))

    def notes(self) -> list[str]:
        """What of the folder is left out, and why: at most a few lines."""
        lines = [*sweep_manifest.notes(self.runs_dir), *(f"left out: {why}" for why in self._left_out)]
        more = [f"{len(lines) - SHOWN:,} more are left out"] if len(lines) > SHOWN else []
        return [*lines[:SHOWN], *more]

    def alike(self, config: RunConfig) -> list[Result]:
        """Results of finished runs that should be as fast as this one, the newest first."""
        alike = f"{speed_key(config)} {schedule.mean_area(config):.0f}"
        if alike not in self._alike:
            found = self._finished.get(_kind_of(config), [])[:NEWEST]
            self._alike[alike] = [result for run, result in found if _has_same_settings(run, config)]
        return self._alike[alike]


def speed_key(config: RunConfig) -> str:
    """A key shared by runs that should be equally fast."""
    return json.dumps([_kind_of(config), _pace(config)], sort_keys=True)


def _kind_of(config: RunConfig) -> str:
    """What affects speed and is in both a configuration and a result: recipe, arithmetic, model, data, devices."""
    recipe, hardware = recipe_text(config.recipe, config.speed.name), config.hardware
    names = [recipe, config.model.name, config.dataset.name, config.data.name]
    return json.dumps([*names, hardware.name, hardware.devices, hardware.nodes, hardware.precision])


def _kind_of_result(result: Result) -> str:
    """The same as `_kind_of` of the run's configuration."""
    recipe, hardware = recipe_text(result.recipe, result.speed), result.hardware
    names = [recipe, result.model, result.dataset, result.data]
    return json.dumps([*names, hardware.name, hardware.devices, hardware.nodes, hardware.precision])


def _newest_first(runs_dir: Path, left_out: list[str]) -> list[RunFolder]:
    """Folders with a result; adds to `left_out` those that may have one."""
    results: list[tuple[float, Path, RunFolder]] = []
    with contextlib.suppress(OSError):
        names, unreadable = list_runs(runs_dir)
        left_out += [f"{runs_dir / name} {CANNOT_BE_READ.format(why)}" for name, why in unreadable.items()]
        for run in (RunFolder(runs_dir / name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                results.append((run.result.stat().st_mtime, run.path, run))
    return [run for *_, run in sorted(results, key=lambda found: found[:2], reverse=True)]


def _has_same_settings(run: RunFolder, config: RunConfig) -> bool:
    """Whether a run of the same kind also had the same settings, as far as they affect its speed."""
    try:
        its = stored_config(run)
        return _pace(its) == _pace(config) and _same_sizes(its, config)
    except FileNotFoundError:
        return True  # a result that was copied without its configuration is accepted
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return False


def _same_sizes(one: RunConfig, other: RunConfig) -> bool:
    return math.isclose(schedule.mean_area(one), schedule.mean_area(other), rel_tol=SAME_AREA)


def _pace(config: RunConfig) -> dict[str, object]:
    dataset, algorithms = config.dataset, identity.outcome(config).get("algorithms", {})
    assert isinstance(algorithms, dict)
    return {
        "model": {key: getattr(config.model, key) for key in SHAPE},
        "images": None if dataset.name in NAMED_DATASETS else dataset.dir,
        "size": config.resolution.train,
        "batch": config.train_batch_size,
        "parts": config.hardware.device_train_microbatch_size,
        "speed": asdict(config.speed),
        "algorithms": {
            name: None if name in published_speeds.FREE_ALGORITHMS else settings
            for name, settings in algorithms.items()
        },
    }


def train_images(config: RunConfig, history: History) -> int | None:
    """Number of training images of the dataset; None if counting them would take long."""
    dataset, loader = config.dataset, config.data.loader
    if formats.format_of(config.data.loader) is formats.SYNTHETIC:
        return int(loader["train_images"])
    size = KNOWN_SIZES.get((dataset.name, config.model.num_classes))
    if (stored := _stored(config, size)) is not None:
        return stored
    known = size or _count(str(Path(dataset.root) / "train"))
    if known is None and (alike := history.alike(config)):
        return alike[0].train_images
    return known


def _stored(config: RunConfig, size: int | None) -> int | None:
    """Images of which files of the format itself tell; `size` is that of a known data set, which is not read for it."""
    loader, cache_dir = config.data.loader, config.data.cache_dir
    holds_images = not isinstance(formats.files_of(loader, cache_dir), ConvertedFiles)
    if holds_images and size is not None:
        return size
    try:
        known = formats.known(loader, cache_dir, config.dataset.root)
    except (RequestError, RunFailed):
        if holds_images:
            return None  # a plan for another machine
        raise
    return None if known is None else known.images


@cache
def _count(split_dir: str) -> int | None:
    if not os.path.isdir(split_dir):
        return None
    files = itertools.islice(image_tree.images(Path(split_dir)), COUNTED_FILES + 1)
    found = sum(1 for _ in files)
    return found if 0 < found <= COUNTED_FILES else None


def batches_per_epoch(config: RunConfig, images: int | None) -> int | None:
    """Batches per epoch of `images` images; an incomplete last batch is dropped.

    Raises:
        RequestError: there is no full batch.
    """
    batch = config.train_batch_size
    if images is None:
        return None
    if images < batch:
        raise RequestError(
            f"train_batch_size={batch} is more than the {images:,} training images of "
            f"dataset={config.dataset.name}; use train_batch_size={max(1, images // 8)} or less, and scale "
            "optimizer.lr with it"
        )
    return images // batch


def batches(config: RunConfig, per_epoch: int | None) -> int | None:
    """Batches of the whole run; None if the batches per epoch are needed and unknown."""
    length, unit = schedule.scaled_duration(config)
    if unit == "ba":
        return length
    return None if per_epoch is None else length * per_epoch


def estimate_time(config: RunConfig, history: History) -> Estimate | None:
    """Training time of a finalized configuration; None if nothing similar is known."""
    per_epoch = batches_per_epoch(config, train_images(config, history))
    total = batches(config, per_epoch)
    alike = history.alike(config)
    if total is not None and alike:
        speed = statistics.fmean(result.images_per_second for result in alike)
        seconds = total * config.train_batch_size / speed
        return Estimate(seconds, seconds, _own_basis(speed, alike, history.runs_dir))
    if total is None or per_epoch is None:
        return None
    length = (config, per_epoch * config.train_batch_size, total / per_epoch)
    if paper := extrapolate.measured_times(*length):
        return _on_paper(config, paper)
    times = published_speeds.times(*length)
    if not times:
        return _on_paper(config, extrapolate.published_times(*length))
    seconds = [time.seconds for time in times]
    return Estimate(min(seconds), max(seconds), f"published speeds by image size: {'; '.join(map(_host_basis, times))}")


def _on_paper(config: RunConfig, times: list[PaperTime]) -> Estimate | None:
    if not times:
        return None
    low, high = min(time.low for time in times), max(time.high for time in times)
    return Estimate(low, high, extrapolate.basis_text(config, times))


def _host_basis(time: published_speeds.HostTime) -> str:
    speeds = ", ".join(f"{speed:,.0f} images/s at {side} px" for side, speed in sorted(time.host.speeds.items()))
    cold = f", {span(time.cold_seconds)} more for a first epoch from a cold disk" if time.cold_seconds else ""
    return f"{speeds}{cold} ({time.host.citation})"


def _own_basis(speed: float, alike: list[Result], runs_dir: Path) -> str:
    runs = "1 finished run" if len(alike) == 1 else f"the mean of {len(alike)} finished runs"
    cores = sorted({result.hardware.cpus for result in alike if result.hardware.cpus is not None})
    machine = ""
    if alike[0].hardware.gpu is None and cores:
        machine = f" on {between(cores[0], cores[-1], str)} CPU cores"
    return f"{speed:,.0f} images/s, {runs} like it{machine} in {below_here(runs_dir)}"


def measuring_ssr(config: RunConfig, per_epoch: int | None) -> float:
    """The shortest ssr that measures a run's speed: one epoch, or as many as have its mix of image sizes."""
    full, unit = schedule.duration(config.schedule.max_duration, "schedule.max_duration")
    length, _ = schedule.scaled_duration(config)
    wanted = 1 if unit == "ep" else per_epoch or MEASURED_BATCHES
    for steps in range(wanted, length, wanted):
        ssr = math.ceil(steps * 1e4 / full) / 1e4
        if _same_sizes(replace(config, ssr=ssr), config):
            return min(float(config.ssr), ssr)
    return float(config.ssr)
