"""Published training speeds by image size, and a run's time estimated from them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resnet_exp.config import schedule
from resnet_exp.config.schema import Entries, RunConfig
from resnet_exp.results import published_runs

PUBLISHED = Path(published_runs.__file__).parent / "published" / "rates.csv"
# Settings of these algorithms change what is learned, not the speed.
FREE_ALGORITHMS = ("label_smoothing", "mixup", "cutmix")
# The effect of these algorithms on the speed is computed from their settings.
RECKONED_ALGORITHMS = ("progressive_resizing", "sam")


@dataclass(frozen=True)
class Host:
    """The speeds of one published host.

    Attributes:
        threads: hardware threads of its CPUs.
        speeds: training images/s by the side of the images in pixels.
        cold_seconds: how much longer its first epoch took, with a cold page cache.
        loader_bound: images/s at which its CPUs were the bottleneck, None if they never were.
    """

    citation: str
    threads: int
    speeds: dict[int, float]
    cold_seconds: float
    loader_bound: float | None


@dataclass(frozen=True)
class HostTime:
    """Training time in seconds on a host, `cold_seconds` of it for the first epoch from a cold disk."""

    seconds: float
    cold_seconds: float
    host: Host


def times(config: RunConfig, images_per_epoch: int, epochs: float) -> list[HostTime]:
    """Training time of a run on each published host that is like its own; empty if there is none.

    If the run's number of threads is known, the host with the closest number is used. With fewer threads than
    that host, the loader may be the bottleneck: its speed is assumed proportional to the threads.

    Args:
        config: from `resnet_exp.config.finalize.finalize`.
        images_per_epoch: images in full batches.
        epochs: of the run; fractional if its schedule counts batches.
    """
    hosts = _alike(config)
    threads = config.hardware.cpus
    if threads:
        bound = _loader_bound(hosts, threads)
        hosts = sorted(hosts, key=lambda host: abs(math.log(host.threads / threads)))[:1]
    else:
        bound = math.inf
    found = [(host, _warm_seconds(config, host, bound, images_per_epoch, epochs)) for host in hosts]
    return [HostTime(warm + host.cold_seconds, host.cold_seconds, host) for host, warm in found if warm is not None]


def _warm_seconds(config: RunConfig, host: Host, bound: float, images_per_epoch: int, epochs: float) -> float | None:
    sides = schedule.sizes(config)
    paces = {side: _seconds_per_image(host, side) for side in set(sides)}
    known = {side: max(pace, 1 / bound) for side, pace in paces.items() if pace is not None}
    if len(known) < len(paces):
        return None
    images = images_per_epoch * epochs / len(sides)
    return sum(known[side] for side in sides) * images * _sam_factor(config.algorithms)


def _seconds_per_image(host: Host, side: int) -> float | None:
    """Interpolate the time per image by area between two measured sizes; outside of them it is unknown."""
    measured = sorted(host.speeds)
    if side in host.speeds:
        return 1 / host.speeds[side]
    if not measured[0] < side < measured[-1]:
        return None
    low = max(size for size in measured if size < side)
    high = min(size for size in measured if size > side)
    part = (side**2 - low**2) / (high**2 - low**2)
    return (1 - part) / host.speeds[low] + part / host.speeds[high]


def _sam_factor(algorithms: Entries) -> float:
    """SAM passes through the network twice in every `interval`-th step.

    At interval 10 that is 1.10; Composer's method card (v0.7.1) measured 7 % less throughput, which is 1.075.
    """
    sam = algorithms.get("sam")
    return 1 + 1 / sam["interval"] if sam else 1.0


def _loader_bound(hosts: Iterable[Host], threads: int) -> float:
    """Images/s that `threads` CPU threads can load, from the hosts where the loader was the bottleneck."""
    return min((host.loader_bound / host.threads * threads for host in hosts if host.loader_bound), default=math.inf)


def _alike(config: RunConfig) -> list[Host]:
    """Published hosts with these GPUs that trained this model from this format with algorithms of the same cost."""
    hardware = config.hardware
    if hardware.nodes != 1:
        return []
    names = [name for name in config.algorithms if name not in (*FREE_ALGORITHMS, *RECKONED_ALGORITHMS)]
    mine = {
        "model": config.model.name,
        "data": config.data.name,
        "gpus": str(hardware.devices),
        "precision": hardware.precision,
        "train_batch_size": str(config.train_batch_size),
        "algorithms": " ".join(sorted(names)),
    }
    rows = [row for row in _rows() if all(row[key] == value for key, value in mine.items())]
    rows = [row for row in rows if _family(row["gpu"]) == _family(hardware.gpu or "")]
    return [_host([row for row in rows if row["said"] == each]) for each in dict.fromkeys(row["said"] for row in rows)]


def _family(gpu: str) -> str:
    """The kind of a GPU: A100 for ``A100 40GB``, and for ``NVIDIA A100-SXM4-40GB``, as NVML names it."""
    return re.split("[ -]", gpu.removeprefix("NVIDIA "))[0]


def _host(rows: list[dict[str, str]]) -> Host:
    bound = [float(row["images_per_second"]) for row in rows if row["limit"] == "loader"]
    return Host(
        citation=rows[0]["said"],
        threads=int(rows[0]["threads"]),
        speeds={int(row["px"]): float(row["images_per_second"]) for row in rows},
        cold_seconds=float(rows[0]["cold_seconds"]),
        loader_bound=max(bound) if bound else None,
    )


@cache
def _rows() -> list[dict[str, str]]:
    with PUBLISHED.open(newline="") as file:
        return list(csv.DictReader(file))
