"""Published training speeds by image size, and a run's time estimated from them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from resnet_exp.config import schedule
from resnet_exp.config.schema import Entries, RunConfig
from resnet_exp.planning.scaling.machines import PUBLISHED, family

RATES = PUBLISHED / "rates.csv"
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
        gpu: kind of its GPUs, of which it has `gpus`.
        batch: images of a step, of all GPUs together.
    """

    citation: str
    gpu: str
    gpus: int
    batch: int
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
    paces = {side: seconds_per_image(host.speeds, side) for side in set(sides)}
    known = {side: max(pace, 1 / bound) for side, pace in paces.items() if pace is not None}
    if len(known) < len(paces):
        return None
    images = images_per_epoch * epochs / len(sides)
    return sum(known[side] for side in sides) * images * sam_factor(config.algorithms)


def seconds_per_image(speeds: Mapping[int, float], side: int) -> float | None:
    """Interpolate the time per image by area between two measured sizes; outside of them it is unknown.

    Args:
        speeds: images/s by side of the images in pixels.
        side: in pixels.
    """
    measured = sorted(speeds)
    if side in speeds:
        return 1 / speeds[side]
    if not measured[0] < side < measured[-1]:
        return None
    low = max(size for size in measured if size < side)
    high = min(size for size in measured if size > side)
    part = (side**2 - low**2) / (high**2 - low**2)
    return (1 - part) / speeds[low] + part / speeds[high]


def sam_factor(algorithms: Entries) -> float:
    """How much longer a step takes with SAM, which passes through the network twice in every `interval`-th step.

    At interval 10 that is 1.10; Composer's method card (v0.7.1) measured 7 % less throughput, which is 1.075.
    """
    sam = algorithms.get("sam")
    return 1 + 1 / sam["interval"] if sam else 1.0


def _loader_bound(hosts: Iterable[Host], threads: int) -> float:
    """Images/s that `threads` CPU threads can load, from the hosts where the loader was the bottleneck."""
    return min((host.loader_bound / host.threads * threads for host in hosts if host.loader_bound), default=math.inf)


def _alike(config: RunConfig) -> list[Host]:
    """Published hosts with as many of these GPUs that trained this model with the same batch at the same cost."""
    hardware = config.hardware
    if hardware.nodes != 1:
        return []
    return [
        host
        for host in same_family_hosts(config)
        if host.gpus == hardware.devices and host.batch == config.train_batch_size
    ]


def same_family_hosts(config: RunConfig) -> list[Host]:
    """Published hosts with any number of these GPUs that trained this model from this format at the same cost."""
    names = [name for name in config.algorithms if name not in (*FREE_ALGORITHMS, *RECKONED_ALGORITHMS)]
    mine = {
        "model": config.model.name,
        "data": config.data.name,
        "precision": config.hardware.precision,
        "algorithms": " ".join(sorted(names)),
    }
    rows = [row for row in rates() if all(row[key] == value for key, value in mine.items())]
    rows = [row for row in rows if family(row["gpu"]) == family(config.hardware.gpu or "")]
    return [_host([row for row in rows if row["said"] == each]) for each in dict.fromkeys(row["said"] for row in rows)]


def _host(rows: list[dict[str, str]]) -> Host:
    bound = [float(row["images_per_second"]) for row in rows if row["limit"] == "loader"]
    return Host(
        citation=rows[0]["said"],
        gpu=rows[0]["gpu"],
        gpus=int(rows[0]["gpus"]),
        batch=int(rows[0]["train_batch_size"]),
        threads=int(rows[0]["threads"]),
        speeds={int(row["px"]): float(row["images_per_second"]) for row in rows},
        cold_seconds=float(rows[0]["cold_seconds"]),
        loader_bound=max(bound) if bound else None,
    )


@cache
def rates() -> list[dict[str, str]]:
    """The rows of ``rates.csv``."""
    with RATES.open(newline="") as file:
        return list(csv.DictReader(file))
